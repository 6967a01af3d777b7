/**
 * What kubectl prints of a whole cluster, in its shapes: `get -o yaml|json` (kubectl pkg/cmd/get/get.go: one List), `cluster-info dump`
 * (pkg/cmd/clusterinfo/clusterinfo_dump.go: typed lists whose items have no kind, logs between them).
 */
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { formatProblem } from '../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import type { Input } from '../../src/cluster/manifest.js'

const UID = '00000000-0000-4000-8000-00000000000'

function managed(manager: string): object {
  return {
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:status': { 'k:{"type":"Ready"}': { '.': {} } } },
  }
}

function node(index: number): object {
  const address = `192.168.0.${index}`
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      annotations: {
        'flannel.alpha.coreos.com/backend-data': `{"VNI":1,"VtepMAC":"02:00:00:00:00:0${index}"}`,
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/public-ip': address,
        'node.alpha.kubernetes.io/ttl': '0',
      },
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { 'kubernetes.io/hostname': `n${index}`, 'kubernetes.io/os': 'linux' },
      managedFields: [managed('kubelet')],
      name: `n${index}`,
      resourceVersion: `10${index}`,
      uid: `${UID}${index}`,
    },
    spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`], providerID: `kind://docker/n${index}` },
    status: {
      addresses: [
        { address, type: 'InternalIP' },
        { address: `n${index}`, type: 'Hostname' },
      ],
      allocatable: { cpu: '8', memory: '32Gi', pods: '110' },
      conditions: [
        { lastHeartbeatTime: '2026-01-01T00:00:00Z', message: 'kubelet is posting ready status', reason: 'KubeletReady', status: 'True', type: 'Ready' },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      images: [{ names: ['registry.k8s.io/pause:3.9'], sizeBytes: 1 }],
      nodeInfo: { kernelVersion: '6.1.0', kubeletVersion: 'v1.31.0', operatingSystem: 'linux' },
    },
  }
}

interface PodWords {
  readonly name: string
  readonly node: number
  readonly host: number
  readonly phase?: string
  readonly version?: number
}

function pod({ name, node: on, host, phase = 'Running', version = 1000 }: PodWords): object {
  const ip = `10.244.${on}.${host}`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"apiVersion":"v1","kind":"Pod"}\n',
        'kubernetes.io/config.seen': '2026-01-01T00:00:00Z',
      },
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: 'web' },
      managedFields: [managed('kube-controller-manager'), managed('kubelet')],
      name,
      namespace: 'shop',
      ownerReferences: [{ apiVersion: 'apps/v1', blockOwnerDeletion: true, controller: true, kind: 'ReplicaSet', name: 'web-6d4cf56db6', uid: UID + '9' }],
      resourceVersion: String(version),
      uid: `${UID}-${name}`,
    },
    spec: {
      containers: [
        {
          env: [{ name: 'POD_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } }],
          image: 'nginx:1.27',
          imagePullPolicy: 'IfNotPresent',
          name: 'web',
          ports: [{ containerPort: 80, name: 'http', protocol: 'TCP' }],
          readinessProbe: { failureThreshold: 3, httpGet: { path: '/', port: 'http', scheme: 'HTTP' }, periodSeconds: 10 },
          resources: { requests: { cpu: '10m' } },
          terminationMessagePath: '/dev/termination-log',
          volumeMounts: [{ mountPath: '/var/run/secrets', name: 'kube-api-access', readOnly: true }],
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      nodeName: `n${on}`,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      serviceAccount: 'default',
      serviceAccountName: 'default',
      terminationGracePeriodSeconds: 30,
      tolerations: [{ effect: 'NoExecute', key: 'node.kubernetes.io/not-ready', operator: 'Exists', tolerationSeconds: 300 }],
      volumes: [{ name: 'kube-api-access', projected: { defaultMode: 420, sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] } }],
    },
    status: {
      conditions: [{ lastProbeTime: null, lastTransitionTime: '2026-01-01T00:00:00Z', status: 'True', type: 'Ready' }],
      containerStatuses: [{ containerID: 'containerd://0', image: 'nginx:1.27', name: 'web', ready: true, restartCount: 0, state: { running: {} } }],
      hostIP: `192.168.0.${on}`,
      hostIPs: [{ ip: `192.168.0.${on}` }],
      phase,
      podIP: ip,
      podIPs: [{ ip }],
      qosClass: 'Burstable',
      startTime: '2026-01-01T00:00:00Z',
    },
  }
}

const NET_CONF = { 'net-conf.json': '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}\n' }
const FLANNEL = { apiVersion: 'v1', data: NET_CONF, kind: 'ConfigMap', metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' } }
const PODS = [pod({ name: 'web-a', node: 1, host: 2 }), pod({ name: 'web-b', node: 2, host: 3 }), pod({ name: 'done', node: 1, host: 2, phase: 'Succeeded' })]
const ITEMS = [FLANNEL, node(1), node(2), ...PODS]

/** As `kubectl get -o json` and -o yaml print it. */
const LIST = { apiVersion: 'v1', items: ITEMS, kind: 'List', metadata: { resourceVersion: '' } }
const JSON_TEXT = `${JSON.stringify(LIST, undefined, 4)}\n`
const YAML_TEXT = stringify(LIST, { indentSeq: false })

/** As typed lists print: the kind first, none in the items. */
function typed(kind: string, apiVersion: string, items: readonly object[]): string {
  const bare = items.map((item) => Object.fromEntries(Object.entries(item).filter(([key]) => key !== 'kind' && key !== 'apiVersion')))
  return `${JSON.stringify({ kind: `${kind}List`, apiVersion, metadata: { resourceVersion: '99' }, items: bare }, undefined, 4)}\n`
}

function log(name: string, text: string): string {
  return `==== START logs for container web of pod shop/${name} ====\n${text}==== END logs for container web of pod shop/${name} ====\n`
}

function load(...texts: readonly (string | Iterable<Uint8Array>)[]): { cluster: Cluster; texts: string[] } {
  const inputs = texts.map((text, index): Input => (typeof text === 'string' ? { file: `f${index}`, text } : { file: `f${index}`, chunks: text }))
  const { cluster, problems } = buildCluster(inputs)
  return { cluster, texts: problems.map(formatProblem) }
}

/** What the rest of the house gets to see, without lines. */
function seen({ nodes, pods, podsByAddress }: Cluster): unknown {
  return {
    nodes: nodes.map(({ name, address, podCIDR, flannel }) => ({ name, address, podCIDR, type: flannel?.backendType })),
    pods: pods.map(({ name, node: on, address, phase, ports, owner }) => ({ name, on, address, phase, ports: ports.map(({ port }) => port), owner })),
    alive: [...podsByAddress.values()].flat().map(({ name }) => name),
  }
}

const expected = seen(load(JSON_TEXT).cluster)

describe('kubectl get -A', () => {
  it('-o json and -o yaml give the same, without a word, in LF and CRLF, with a mark and without', () => {
    for (const text of [JSON_TEXT, YAML_TEXT, JSON.stringify(LIST)]) {
      for (const form of [text, text.replaceAll('\n', '\r\n'), `\ufeff${text}`]) {
        const { cluster, texts } = load(form)
        expect(texts).toEqual([])
        expect(seen(cluster)).toEqual(expected)
      }
    }
    expect(expected).toMatchObject({ alive: ['web-a', 'web-b'] })
  })

  it('bytes in pieces of any size, UTF-16 too', () => {
    for (const text of [JSON_TEXT, YAML_TEXT]) {
      for (const size of [1, 7, 4096]) {
        const bytes = new TextEncoder().encode(text)
        const utf16 = new Uint8Array(Buffer.from(`\ufeff${text}`, 'utf16le'))
        for (const whole of [bytes, utf16]) {
          const { cluster, texts } = load(Array.from({ length: Math.ceil(whole.length / size) }, (_, at) => whole.subarray(at * size, (at + 1) * size)))
          expect(texts).toEqual([])
          expect(seen(cluster)).toEqual(expected)
        }
      }
    }
  })

  it('a list longer than what is read whole comes item by item, with its own lines', () => {
    const many = Array.from({ length: 400 }, (_, index) => pod({ name: `p${index}`, node: 1 + (index % 2), host: 2 + (index >> 1) }))
    many[300] = { ...many[300], status: { podIP: '10.244.1.300' } }
    for (const indentSeq of [false, true]) {
      const text = stringify({ ...LIST, items: [...ITEMS.slice(0, 3), ...many] }, { indentSeq })
      expect(text.length).toBeGreaterThan(1 << 20)
      const { cluster, texts } = load([new TextEncoder().encode(text)])
      const line = text.slice(0, text.indexOf('10.244.1.300')).split('\n').length
      expect(texts).toEqual([expect.stringMatching(`^f0:${line}: error: Pod/shop/p300: podIP: "10.244.1.300" is no IPv4 address`)])
      expect(cluster.pods).toHaveLength(400)
      expect(
        cluster.pods.every(({ line: at, name }) =>
          text
            .split('\n')
            .slice(at - 1, at + 40)
            .some((words) => words.endsWith(`name: ${name}`)),
        ),
      ).toBe(true)
    }
  })

  it('keeps what is read and leaves out what nobody reads; lines stay', () => {
    for (const text of [JSON_TEXT, YAML_TEXT]) {
      const { cluster } = load(text)
      const kept = JSON.stringify(cluster.objects.map(({ value }) => value))
      for (const word of ['managedFields', 'last-applied', 'volumeMounts', 'containerStatuses', 'sizeBytes']) expect(kept).not.toContain(word)
      for (const word of ['readinessProbe', 'ownerReferences', 'requests', 'podIPs', 'backend-type']) expect(kept).toContain(word)
      const web = cluster.podByName.get('shop/web-b')
      const lines = text.split('\n')
      expect(lines[(web?.object.lineOf(['status', 'podIP']) ?? 0) - 1]).toContain('10.244.2.3')
      expect(lines[(web?.object.lineOf(['spec', 'containers', 0, 'ports', 0, 'containerPort']) ?? 0) - 1]).toContain('80')
    }
  })

  it('kinds and kinds of others that play no part are named once', () => {
    const others = ['Lease', 'Lease', 'Certificate'].map((kind, index) => ({
      apiVersion: 'example.com/v1',
      kind,
      metadata: { name: `x${index}` },
      spec: { a: index },
    }))
    const { texts, cluster } = load(JSON.stringify({ ...LIST, items: [...ITEMS, ...others] }, undefined, 4))
    expect(texts).toHaveLength(1)
    expect(texts[0]).toContain('2 Leases, 1 Certificate: play no part in packet paths, kept')
    expect(cluster.objects.filter(({ kind }) => kind === 'Lease').map(({ value }) => value.spec)).toEqual([undefined, undefined])
  })

  it('warnings of kubectl among the objects are passed over, its failures told with the line', () => {
    const warning = 'Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n'
    for (const text of [warning + JSON_TEXT, warning + YAML_TEXT]) expect(seen(load(text).cluster)).toEqual(expected)
    expect(load(warning + JSON_TEXT).texts).toEqual([])
    const { texts } = load(`${JSON_TEXT}Error from server (Forbidden): pods is forbidden: User "eve" cannot list resource "pods"\n`)
    expect(texts).toHaveLength(1)
    expect(texts[0]).toContain(`f0:${JSON_TEXT.split('\n').length}: error: kubectl failed here: Error from server (Forbidden)`)
  })
})

describe('kubectl cluster-info dump', () => {
  const lists = [typed('Node', 'v1', [node(1), node(2)]), typed('Event', 'v1', []), typed('Pod', 'v1', PODS)]
  const logs = [
    log('web-a', '{"level":"info"}\n---\nkind: Pod\nmetadata: {\n'),
    log('web-b', 'no newline at the end'),
    log('done', 'Create log request error: gone\n==== END logs for container other of pod shop/x ====\n'),
  ]

  it('on one stream: lists without kinds in the items, logs passed over whatever is in them', () => {
    const text = `${JSON.stringify(FLANNEL)}\n${lists.join('')}${logs.join('')}${typed('Service', 'v1', [])}Cluster info dumped to standard output\n`
    const { cluster, texts } = load(text)
    expect(texts).toEqual([])
    expect(seen(cluster)).toEqual(expected)
    const line = text.slice(0, text.indexOf('"web-b"')).split('\n').length
    expect(cluster.podByName.get('shop/web-b')?.object.lineOf(['metadata', 'name'])).toBe(line)
  })

  it('-o yaml: the same between lines of ---', () => {
    const yaml = [...lists, typed('Service', 'v1', [])].map((text) => stringify(JSON.parse(text), { indentSeq: false }))
    const text = `${stringify(FLANNEL)}---\n${yaml.slice(0, 3).join('---\n')}${logs.join('')}---\n${yaml[3]}`
    const { cluster, texts } = load(text)
    expect(texts).toEqual([])
    expect(seen(cluster)).toEqual(expected)
  })

  it('cut off inside a log or a list: told with the line, and that something is missing is no second error', () => {
    const text = lists[0] + logs[0].slice(0, 100)
    expect(load(text).texts.at(-1)).toMatch(new RegExp(`^f0:${lists[0].split('\n').length}: error: a log without its end`))
    const cut = lists[0] + lists[2].slice(0, 2000)
    expect(load(cut).texts.filter((words) => words.includes('error'))).toEqual([expect.stringContaining('error: ')])
  })
})

describe('an object that stands in the input twice', () => {
  const older = JSON.stringify(pod({ name: 'web-a', node: 1, host: 9, version: 999 }))
  const newer = JSON.stringify(pod({ name: 'web-a', node: 1, host: 7, version: 1001 }))

  it.each([
    ['the older first', [older, newer]],
    ['the newer first', [newer, older]],
  ])('from an API server: the newer is kept, by number and not by letters, with one warning (%s)', (_, texts) => {
    const { cluster, texts: words } = load(...texts, JSON.stringify({ ...LIST, items: ITEMS.slice(0, 3) }))
    expect(cluster.pods.map(({ object }) => object.lineOf(['status', 'podIP']) > 0 && cluster.podsByAddress.size)).toEqual([1])
    expect(JSON.stringify(cluster.pods[0].object.value)).toContain('10.244.1.7')
    expect(words).toEqual([expect.stringContaining('as of another moment: the newer one is kept')])
  })

  it('thousands of two dumps: one warning', () => {
    const dump = (version: number): string =>
      JSON.stringify({
        ...LIST,
        items: [...ITEMS.slice(0, 3), ...Array.from({ length: 100 }, (_, at) => pod({ name: `p${at}`, node: 1, host: 2 + at, version: version + at }))],
      })
    const { texts, cluster } = load(dump(1000), dump(2000))
    expect(texts).toEqual([expect.stringContaining('so do 99 more')])
    expect(cluster.pods.every(({ file }) => file === 'f1')).toBe(true)
  })

  it('written by hand, and differing: an error as ever', () => {
    const written = (host: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: p, creationTimestamp: null}\nspec: {nodeName: ${host}}\nstatus: {}\n`
    expect(load(written('n1'), written('n2')).texts).toEqual(expect.arrayContaining([expect.stringContaining('and the two differ')]))
  })
})

describe('hostile dumps', () => {
  it.each([
    ['a bad escape', (text: string) => text.replace('"shop"', '"sh\\op"'), 'a bad escape in the string'],
    ['no comma', (text: string) => text.replace('"shop",', '"shop"'), 'where , or } was due'],
    ['cut off', (text: string) => text.slice(0, text.indexOf('"shop"') + 4), 'a string that does not end'],
    ['a wrong word inside what is left out', (text: string) => text.replace('"FieldsV1"', 'FieldsV1'), 'FieldsV1 is no JSON value'],
  ])('%s after megabytes: the right line, soon', (_, spoil, words) => {
    const before = JSON.stringify({ ...LIST, items: Array.from({ length: 500 }, () => node(1)) }, undefined, 4)
    const text = `${before}\n${spoil(JSON.stringify(PODS[0], undefined, 4))}`
    const { texts } = load([new TextEncoder().encode(text)])
    const line = Number(/^f0:([0-9]+): error/.exec(texts.find((found) => found.includes(words)) ?? '')?.[1])
    const rest = line - before.split('\n').length
    expect(rest).toBeGreaterThan(0)
    expect(JSON.stringify(PODS[0], undefined, 4).split('\n')[rest - 1]).toMatch(/shop|Fields|ownerReferences/)
  })

  it('a million empty documents, megabytes on one line, and nesting without end', () => {
    expect(load([new TextEncoder().encode('---\n'.repeat(1_000_000))]).texts).toEqual([])
    const long = JSON.stringify({ ...LIST, items: [...ITEMS, { ...FLANNEL, metadata: { name: 'x' }, data: { a: 'y'.repeat(20_000_000) } }] })
    expect(seen(load([new TextEncoder().encode(long)]).cluster)).toEqual(expected)
    expect(load([new TextEncoder().encode('{"a":'.repeat(3_000_000))]).texts).toEqual([expect.stringContaining('nested more than 100 deep')])
  })
})
