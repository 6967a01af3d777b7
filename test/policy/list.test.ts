/** The map of a world: names of its rows, words of its connections, focus, external ranges, the ingress controller, the forms. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConnectionSet } from '../../src/policy/connections.js'
import { connectionText, othersText, transportText } from '../../src/policy/connection-text.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import { listCsv, listDot, listJson, listMarkdown, listText } from '../../src/policy/list/list-forms.js'
import { listMatrix } from '../../src/policy/list/list-matrix.js'
import { askedPairs, policyMap, type ListOptions, type PolicyMap } from '../../src/policy/list/list.js'
import type { Switches } from '../../src/policy/model.js'
import { readTold } from './kit.js'

const EVERYBODY: ListOptions = { focus: [], focusPeer: [] }
const PLAIN = { transportOnly: false }

function mapOf(text: string, options: Partial<ListOptions> = {}, switches: Partial<Switches> = {}): PolicyMap {
  const { world, state } = readTold(text, switches)
  return policyMap(world, state, { ...EVERYBODY, ...options })
}

const linesOf = (map: PolicyMap): string[] => listText(map, PLAIN).split('\n').slice(0, -1)

const deployment = (name: string, ports = ''): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {matchLabels: {app: ${name}}}
  template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: c, ports: [${ports}]}]}}
---
`

const policy = (name: string, spec: string): string => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${name}, namespace: shop}
spec: ${spec}
---
`

const TWO = deployment('web') + deployment('db', '{name: sql, containerPort: 5432}')
const CLOSED_DB = policy('db', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}')

describe('rows', () => {
  it('are of workloads, with the outside, by source and destination; what is closed has none', () => {
    expect(linesOf(mapOf(TWO + CLOSED_DB))).toEqual([
      '0.0.0.0-255.255.255.255[External] => shop/web[Deployment] : All Connections',
      'shop/db[Deployment] => 0.0.0.0-255.255.255.255[External] : All Connections',
      'shop/db[Deployment] => shop/web[Deployment] : All Connections',
      'shop/web[Deployment] => 0.0.0.0-255.255.255.255[External] : All Connections',
      'shop/web[Deployment] => shop/db[Deployment] : TCP 5432',
    ])
  })

  it('bear the name of the controller that the input shows: never that of the one above it', () => {
    const pod = (name: string, owner: string): string =>
      `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, ownerReferences: [{controller: true, ${owner}}]}}\n---\n`
    const text =
      pod('a-1', 'kind: ReplicaSet, name: a-5d8') + pod('kube-proxy', 'kind: Node, name: n1') + '{apiVersion: v1, kind: Pod, metadata: {name: bare}}\n---\n'
    expect(mapOf(text).workloads.map((peer) => peer.text)).toEqual(['default/a-5d8[ReplicaSet]', 'default/bare[Pod]', 'default/kube-proxy[Pod]'])
  })

  it('are there for a workload without pods: replicas 0, a CronJob, a DaemonSet without nodes', () => {
    const template = 'template: {metadata: {labels: {app: x}}, spec: {restartPolicy: '
    const text = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: none}, spec: {replicas: 0, selector: {matchLabels: {app: x}}, ${template}Always, containers: []}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: "0 0 * * *", jobTemplate: {spec: {${template}Never, containers: []}}}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {app: x}}, ${template}Always, containers: []}}}}
`
    expect(mapOf(text).workloads.map((peer) => peer.text)).toEqual(['default/agent[DaemonSet]', 'default/nightly[CronJob]', 'default/none[Deployment]'])
  })

  it('of a ReplicaSet without pods that a Deployment owns are none: the history of a rollout is no workload', () => {
    const old = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{controller: true, kind: Deployment, name: web}]}
spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
status: {replicas: 0}
---`
    expect(mapOf(`${old}\n${deployment('web')}`).workloads.map((peer) => peer.text)).not.toContain('shop/web-1[ReplicaSet]')
  })

  it('are of some of the pods where policies tell those of one workload apart', () => {
    const set = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 5
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: []}}
---
`
    const first = policy('first', '{podSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-0}}, policyTypes: [Ingress]}')
    const map = mapOf(set + deployment('web') + first)
    expect(map.workloads.map((peer) => peer.text)).toEqual([
      'shop/db[StatefulSet] (db-0)',
      'shop/db[StatefulSet] (db-1, db-2 and 2 more)',
      'shop/web[Deployment]',
    ])
    const into = map.rows.filter(({ source }) => source.name === 'web' || source.name === 'db')
    expect(into.map(({ source, destination }) => [source.text, destination.text])).not.toContainEqual(['shop/web[Deployment]', 'shop/db[StatefulSet] (db-0)'])
    const json = JSON.parse(listJson(map, PLAIN)) as { readonly src: string; readonly dst: string; readonly dstPods?: readonly string[] }[]
    const row = json.find(({ src, dst }) => src === 'shop/web[Deployment]' && dst.startsWith('shop/db'))
    expect(row?.dstPods).toEqual(['db-1', 'db-2', 'db-3', 'db-4'])
    // those of one workload have no rows with one another
    expect(map.rows.some(({ source, destination }) => source.name === 'db' && destination.name === 'db')).toBe(false)
  })

  it('say what each pair of the map means', () => {
    const selector = fc.constantFrom(
      '{}',
      '{matchLabels: {app: web}}',
      '{matchLabels: {app: db}}',
      '{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}',
    )
    const peer = fc.oneof(
      selector.map((text) => `{podSelector: ${text}}`),
      fc.constantFrom('{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/15]}}', '{ipBlock: {cidr: 0.0.0.0/0}}', '{ipBlock: {cidr: "fd00::/8"}}'),
    )
    const ports = fc.constantFrom('', ', ports: [{port: 80}]', ', ports: [{port: sql}]', ', ports: [{protocol: UDP, port: 53, endPort: 60}]')
    const rule = (field: string): fc.Arbitrary<string> =>
      fc.tuple(fc.array(peer, { minLength: 1, maxLength: 2 }), ports).map(([peers, some]) => `{${field}: [${peers.join(', ')}]${some}}`)
    const spec = fc
      .tuple(selector, fc.array(rule('from'), { maxLength: 2 }), fc.array(rule('to'), { maxLength: 2 }))
      .map(
        ([text, ingress, egress]) => `{podSelector: ${text}, policyTypes: [Ingress, Egress], ingress: [${ingress.join(', ')}], egress: [${egress.join(', ')}]}`,
      )
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 3 }), fc.constantFrom<Switches['as']>('api', 'np-guard'), (specs, as) => {
        const { world, state } = readTold(TWO + deployment('cart') + specs.map((one, index) => policy(`p${index}`, one)).join(''), {
          as,
          ...(as === 'api' ? {} : { ipBlock: 'outside-only' }),
        })
        const rows = new Map(policyMap(world, state, EVERYBODY).rows.map((row) => [`${row.source.text}\n${row.destination.text}`, row.connections.key]))
        for (const { source, destination } of askedPairs(world, EVERYBODY)) {
          const { allowed } = evaluatePair(world, source.end, destination.end)
          expect(rows.get(`${source.peer.text}\n${destination.peer.text}`) ?? ConnectionSet.none.key).toBe(allowed.key)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('the outside', () => {
  it('is cut where the networks of a direction say so, once exceptions are out of them', () => {
    const text =
      TWO +
      policy('web', '{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9]}}]}]}')
    const outward = mapOf(text)
      .rows.filter(({ source }) => source.name === 'web')
      .map(({ destination }) => destination.text)
    expect(outward).toEqual(['10.128.0.0-10.255.255.255[External]'])
    const inward = mapOf(text)
      .rows.filter(({ source }) => source.kind === 'outside')
      .map(({ source }) => source.text)
    expect(new Set(inward)).toEqual(new Set(['0.0.0.0-255.255.255.255[External]']))
  })

  it('is not cut by a network set that no rule asks for, and is listed beside one', () => {
    const set = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: corp, labels: {zone: corp}}, spec: {nets: ['10.0.0.0/30']}}"
    for (const as of ['api', 'calico', 'np-guard'] as const)
      expect(listText(mapOf(`${TWO}${CLOSED_DB}${set}\n---\n`, {}, { as }), PLAIN)).toBe(listText(mapOf(TWO + CLOSED_DB, {}, { as }), PLAIN))
  })

  it('has IPv6 where a policy names any, but not for a reader that knows none', () => {
    const text = TWO + policy('web', '{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "2001:db8::/32"}}], ports: [{port: 443}]}]}')
    expect(linesOf(mapOf(text))).toContain('shop/web[Deployment] => 2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff[External] : TCP 443')
    expect(linesOf(mapOf(text, {}, { as: 'np-guard' })).some((line) => line.includes('2001:db8'))).toBe(false)
  })
})

describe('focus', () => {
  const text = TWO + deployment('cart')
  const pairs = (options: Partial<ListOptions>): string[] => mapOf(text, options).rows.map(({ source, destination }) => `${source.name}>${destination.name}`)

  it('is by name or ns/name, on either side, or in one direction', () => {
    expect(pairs({ focus: ['db'] })).toEqual(['>db', 'cart>db', 'db>', 'db>cart', 'db>web', 'web>db'])
    expect(pairs({ focus: ['shop/db'], direction: 'ingress' })).toEqual(['>db', 'cart>db', 'web>db'])
    expect(pairs({ focus: ['db'], direction: 'egress' })).toEqual(['db>', 'db>cart', 'db>web'])
  })

  it('may be the Deployment above the ReplicaSet that the input shows', () => {
    const owned =
      '{apiVersion: v1, kind: Pod, metadata: {name: api-5d8-x, namespace: shop, labels: {pod-template-hash: 5d8}, ownerReferences: [{controller: true, kind: ReplicaSet, name: api-5d8}]}}\n---\n'
    for (const name of ['api', 'shop/api', 'api-5d8']) {
      const { rows, unknown } = mapOf(owned + TWO, { focus: [name], focusPeer: ['db'], direction: 'egress' })
      expect([rows.map((row) => `${row.source.text} ${row.destination.text}`), unknown], name).toEqual([['shop/api-5d8[ReplicaSet] shop/db[Deployment]'], []])
    }
  })

  it('may name the other end too', () => {
    expect(pairs({ focus: ['db'], focusPeer: ['web'] })).toEqual(['db>web', 'web>db'])
  })

  it('names what is not there', () => {
    expect(mapOf(text, { focus: ['dbx', 'web'], focusPeer: ['ingress-controller'] }).unknown).toEqual(['dbx', 'ingress-controller'])
  })

  it('on a connection keeps the rows that let it through, and says no more of them', () => {
    const through = ConnectionSet.of('TCP', 5432)
    const map = mapOf(TWO + CLOSED_DB, { through, focus: ['db'], direction: 'ingress' })
    expect(listText(map, { ...PLAIN, through: 'TCP 5432' })).toBe('Permitted connections on TCP 5432:\nshop/web[Deployment] => shop/db[Deployment]\n')
    expect(mapOf(TWO + CLOSED_DB, { through: ConnectionSet.of('UDP', 5432), focus: ['db'], direction: 'ingress' }).rows).toEqual([])
  })
})

describe('the ingress controller', () => {
  const service = (port: string): string =>
    `{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: db}, ports: [${port}]}}\n---\n`
  const ingress = (port: string): string =>
    `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: shop}, spec: {defaultBackend: {service: {name: db, port: ${port}}}}}\n---\n`
  const rowsOf = (text: string, as: Switches['as'] = 'api'): string[] => linesOf(mapOf(text, { focus: ['ingress-controller'] }, { as }))

  it('reaches what an Ingress leads to, by the port of the pod', () => {
    expect(rowsOf(TWO + service('{name: s, port: 80, targetPort: sql}') + ingress('{name: s}'))).toEqual([
      '{ingress-controller} => shop/db[Deployment] : TCP 5432',
    ])
    expect(rowsOf(TWO + service('{port: 80, targetPort: 5432}') + ingress('{number: 80}'))).toEqual(['{ingress-controller} => shop/db[Deployment] : TCP 5432'])
  })

  it('is held by policies as a pod that none of them knows', () => {
    expect(rowsOf(TWO + CLOSED_DB + service('{port: 5432}') + ingress('{number: 5432}'))).toEqual([])
    const open = policy('open', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}]}]}')
    expect(rowsOf(TWO + CLOSED_DB + open + service('{port: 5432}') + ingress('{number: 5432}'))).toHaveLength(1)
  })

  it('asks a port that no container declares only where the pod declares none at all', () => {
    expect(rowsOf(TWO + service('{port: 80, targetPort: 9999}') + ingress('{number: 80}'))).toEqual([])
    const bare = TWO.replace('{name: sql, containerPort: 5432}', '')
    expect(rowsOf(bare + service('{port: 80, targetPort: 9999}') + ingress('{number: 80}'))).toEqual(['{ingress-controller} => shop/db[Deployment] : TCP 9999'])
    expect(rowsOf(bare + service('{port: 80, targetPort: 9999}') + ingress('{number: 80}'), 'np-guard')).toEqual([])
  })

  it('comes by a Route of OpenShift too, to every port of the Service where it names none', () => {
    const route = '{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: r, namespace: shop}, spec: {to: {kind: Service, name: db}}}\n---\n'
    expect(rowsOf(TWO + service('{port: 80, targetPort: sql}') + route)).toEqual(['{ingress-controller} => shop/db[Deployment] : TCP 5432'])
  })
})

describe('words of connections', () => {
  const tcp = ConnectionSet.of('TCP', 80).union(ConnectionSet.of('TCP', 443))

  it('are those of netpol-analyzer', () => {
    expect(transportText(tcp.union(ConnectionSet.of('UDP', 53)).union(ConnectionSet.of('UDP', 5000, 6000)))).toBe('TCP 80,443,UDP 53,5000-6000')
    expect(transportText(ConnectionSet.all)).toBe('All Connections')
    expect(transportText(ConnectionSet.none)).toBe('No Connections')
  })

  it('do not take three protocols for all of them', () => {
    expect(connectionText(ConnectionSet.transport)).toBe('SCTP 1-65535,TCP 1-65535,UDP 1-65535')
    expect(transportText(ConnectionSet.transport, false)).toBe('All Connections')
  })

  it('say ICMP and the rest beside them', () => {
    expect(connectionText(ConnectionSet.all.minus(ConnectionSet.of('TCP', 22)))).toBe(
      'SCTP 1-65535,TCP 1-21,23-65535,UDP 1-65535 and ICMP, ICMPv6, other protocols',
    )
    expect(connectionText(ConnectionSet.of('ICMP', 8 * 256))).toBe('ICMP 8/0')
    expect(othersText(ConnectionSet.of('ICMP', 3 * 256, 4 * 256 + 255).union(ConnectionSet.of(47)))).toBe('ICMP 3-4, protocol 47')
    expect(othersText(ConnectionSet.all)).toBe('')
  })
})

describe('forms', () => {
  const map = mapOf(TWO + CLOSED_DB, { focus: ['db'], direction: 'ingress' })

  it('txt, JSON, CSV and Markdown say the same', () => {
    expect(listText(map, PLAIN)).toBe('shop/web[Deployment] => shop/db[Deployment] : TCP 5432\n')
    expect(JSON.parse(listJson(map, PLAIN))).toEqual([{ src: 'shop/web[Deployment]', dst: 'shop/db[Deployment]', conn: 'TCP 5432' }])
    expect(listCsv(map, PLAIN)).toBe('src,dst,conn\nshop/web[Deployment],shop/db[Deployment],TCP 5432\n')
    expect(listMarkdown(map, PLAIN)).toBe('| src | dst | conn |\n|-----|-----|------|\n| shop/web[Deployment] | shop/db[Deployment] | TCP 5432 |\n')
  })

  it('JSON has a key of its own for what is neither TCP, UDP nor SCTP', () => {
    const deny =
      '{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: no-ssh}, spec: {priority: 1, subject: {namespaces: {}}, ingress: [{name: a, action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 22}}]}]}}\n---\n'
    const [row] = JSON.parse(listJson(mapOf(TWO + deny, { focus: ['web'], focusPeer: ['db'], direction: 'egress' }), PLAIN)) as Record<string, string>[]
    expect(row).toEqual({
      src: 'shop/web[Deployment]',
      dst: 'shop/db[Deployment]',
      conn: 'SCTP 1-65535,TCP 1-21,23-65535,UDP 1-65535',
      others: 'ICMP, ICMPv6, other protocols',
    })
  })

  it('CSV quotes what holds a comma', () => {
    const ports = policy('db2', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 443}]}]}')
    expect(listCsv(mapOf(TWO + ports, { focus: ['db'], direction: 'ingress' }), PLAIN)).toContain('shop/db[Deployment],"TCP 80,443"\n')
  })

  it('dot has a box for each namespace, with workloads that have no row', () => {
    const dot = listDot(mapOf(TWO + policy('none', '{podSelector: {}, policyTypes: [Ingress, Egress]}')), PLAIN)
    expect(dot).toContain('subgraph "cluster_shop[namespace]" {')
    expect(dot).toContain('"shop/web[Deployment]" [label="web[Deployment]"')
    expect(dot).not.toContain('->')
  })

  it('the matrix has a letter for each pair', () => {
    expect(listMatrix(mapOf(TWO + CLOSED_DB))).toBe(
      [
        '                                     1 2 3',
        '1  shop/db[Deployment]                 # #',
        '2  shop/web[Deployment]              +   #',
        '3  0.0.0.0-255.255.255.255[External] . #',
        '',
        '# everything  + something  . nothing; from the left to the number above',
        '',
      ].join('\n'),
    )
  })
})
