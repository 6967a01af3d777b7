/** Ingress objects of every apiVersion, what is wrong with them, who the controllers are, and where both legs go. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../../src/base/ip.js'
import { backendTargets, entriesOf, findControllers, ingressesOf } from '../../../src/cluster/ingress/controllers.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { ServiceEndpoints } from '../../../src/cluster/services/service.js'
import { endpoints, pod as podOf } from '../dns/kit.js'
import { build, ingress, service, type IngressText } from './kit.js'

/** As a guide of 2017 prints it. */
const OLD = `#dashboard-ingress.yaml
apiVersion: extensions/v1beta1
kind: Ingress
metadata:
  name: k8s-dashboard
  namespace: kube-system
spec:
  tls:
  - hosts:
    - k8s-dashboard.example.com
    secretName: k8s-dashboard-secret
  rules:
  - host: k8s-dashboard.example.com
    http:
      paths:
      - backend:
          serviceName: kubernetes-dashboard
          servicePort: 80
        path: /
`

const NODE = `apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.10.11}]}\n`

describe('an Ingress', () => {
  it('of extensions/v1beta1 is read whole', () => {
    const { cluster, texts } = build(OLD)
    expect(cluster.ingresses).toMatchObject([
      {
        namespace: 'kube-system',
        name: 'k8s-dashboard',
        tls: [{ hosts: ['k8s-dashboard.example.com'], secretName: 'k8s-dashboard-secret', line: 9 }],
        rules: [
          {
            host: 'k8s-dashboard.example.com',
            paths: [{ path: '/', pathType: 'ImplementationSpecific', line: 16, backend: { service: { name: 'kubernetes-dashboard', port: 80 } } }],
          },
        ],
      },
    ])
    expect(texts.join('\n')).toContain('warning: Ingress/kube-system/k8s-dashboard: there is no Service kube-system/kubernetes-dashboard')
    expect(texts.join('\n')).toContain('t.yaml:2: warning: Ingress/kube-system/k8s-dashboard: no pod of an ingress controller that netsim knows')
    expect(texts.join('\n')).not.toContain('error')
  })

  it('of networking.k8s.io/v1beta1 may name its port in quotes', () => {
    const text = OLD.replace('extensions/v1beta1', 'networking.k8s.io/v1beta1').replace('servicePort: 80', 'servicePort: "80"')
    expect(build(text).cluster.ingresses[0].rules[0].paths[0].backend.service?.port).toBe(80)
  })

  it('and classes are in the cluster', () => {
    const text =
      'apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}\nspec: {controller: k8s.io/ingress-nginx}\n'
    expect(build(text).cluster.ingressClasses).toMatchObject([{ name: 'nginx', controller: 'k8s.io/ingress-nginx', isDefault: true, line: 1 }])
  })
})

describe('what is wrong', () => {
  const rule = (path: object): string => ingress({ rules: [{ host: 'a.example', paths: [path] }] })
  const raw = (spec: object, apiVersion = 'networking.k8s.io/v1'): string => JSON.stringify({ apiVersion, kind: 'Ingress', metadata: { name: 'web' }, spec })
  const one = { service: { name: 'web', port: { number: 80 } } }
  const second =
    'apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: NAME, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}\nspec: {controller: x/y}\n'

  it.each<[string, string[], string]>([
    ['no pathType in v1', [raw({ rules: [{ http: { paths: [{ path: '/', backend: one }] } }] })], 'error: Ingress/default/web: the path has no pathType'],
    ['a relative path', [rule({ path: 'foo' })], 'the path "foo" does not start with /'],
    ['a Prefix without path', [rule({})], 'the path "" does not start with /'],
    ['a path that normalises', [rule({ path: '/a//b' })], 'the path /a//b has //, /./, /../ or %2f in it'],
    [
      'an address for a host',
      [raw({ rules: [{ host: '10.0.0.1', http: { paths: [{ path: '/', pathType: 'Prefix', backend: one }] } }] })],
      'the host 10.0.0.1 is an address',
    ],
    ['a star in the middle', [raw({ rules: [{ host: 'a.*.example' }] })], 'the host "a.*.example" is no wildcard'],
    ['a host with blanks', [raw({ rules: [{ host: 'a b' }] })], 'host: "a b" is no name that Kubernetes allows'],
    ['nothing at all', [raw({})], 'neither rules nor a default backend'],
    ['the old backend in v1', [raw({ backend: { serviceName: 'web', servicePort: 80 } })], 'networking.k8s.io/v1 has no spec.backend'],
    ['the new backend in v1beta1', [raw({ backend: one }, 'extensions/v1beta1')], 'extensions/v1beta1 has no service in a backend'],
    ['a backend without port', [raw({ defaultBackend: { service: { name: 'web' } } })], 'the backend names no port'],
    ['a path without backend', [raw({ rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix' }] } }] })], 'a path without a backend'],
    ['no Service', [rule({ path: '/', service: 'wbe' }), service('web')], 'there is no Service default/wbe\n    Requests get 503. Did you mean web?'],
    [
      'a Service elsewhere',
      [rule({ path: '/' }), service('web', { namespace: 'shop' })],
      'Service web is in namespace shop (t.yaml:3), the Ingress in default\n    An Ingress leads to Services of its own namespace only',
    ],
    [
      'a port that the Service lacks',
      [
        rule({ path: '/', port: 8080 }),
        service('web', {
          ports: [
            { name: 'http', port: 80 },
            { name: 'admin', port: 81, targetPort: 8080 },
          ],
        }),
      ],
      'Service web (t.yaml:3) has no port 8080: that is the targetPort of its port 81\n    Its ports are 80 (http), 81 (admin).',
    ],
    [
      'a port name that it lacks',
      [rule({ path: '/', port: 'htpp' }), service('web', { ports: [{ name: 'http', port: 80 }] })],
      'has no port htpp\n    Its ports are 80 (http).',
    ],
    ['no class', [ingress({ className: 'nginx', defaultService: 'web' })], 'there is no IngressClass nginx'],
    ['two default classes', [second.replace('NAME', 'a'), second.replace('NAME', 'b')], 'IngressClass/b: a second default class beside a (t.yaml:1)'],
    ['a class without controller', ['apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: a}\n'], 'the class names no controller'],
    [
      'class and annotation',
      [ingress({ className: 'a', annotations: { 'kubernetes.io/ingress.class': 'a' }, defaultService: 'web' })],
      'ingressClassName beside the annotation',
    ],
    [
      'one path twice',
      [
        ingress({ name: 'a', created: '2024-01-01T00:00:00Z', rules: [{ paths: [{ path: '/x' }] }] }),
        ingress({ name: 'b', created: '2023-01-01T00:00:00Z', rules: [{ paths: [{ path: '/x' }] }] }),
      ],
      't.yaml:1: warning: Ingress/default/a: host *, path /x is in Ingress default/b too (t.yaml:3)\n    With ingress-nginx the oldest wins',
    ],
    [
      'one path twice in one',
      [ingress({ rules: [{ paths: [{ path: '/x' }, { path: '/x' }] }] })],
      'path /x is in the same Ingress too (t.yaml:1)\n    The first counts.',
    ],
    [
      'a Secret that is not there',
      [ingress({ tls: [{ secretName: 's' }], defaultService: 'web' }), 'apiVersion: v1\nkind: Secret\nmetadata: {name: t}\n'],
      'there is no Secret default/s',
    ],
    ['no controller', [ingress({ defaultService: 'web' })], 'no pod of an ingress controller that netsim knows: the Ingress has no effect'],
  ])('%s', (_what, texts, message) => {
    expect(build(...texts).texts.join('\n')).toContain(message)
  })

  it('nothing is, where all fits', () => {
    const ready = [
      NODE,
      controller('{name: c, labels: {app.kubernetes.io/name: ingress-nginx}}'),
      CLASS,
      service('web'),
      ingress({ className: 'nginx', rules: [{ host: 'a.example', paths: [{ path: '/' }] }] }),
    ]
    expect(build(...ready).texts.filter((text) => text.includes('Ingress'))).toEqual([])
  })

  it('no object whatever breaks the reader', () => {
    const value = fc.oneof(fc.constant(null), fc.integer(), fc.string(), fc.constant([]), fc.constant({}), fc.constant(['x']), fc.constant([{}]))
    const field = (...names: string[]) => fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 3 })
    const path = field('path', 'pathType', 'backend')
    const spec = fc.oneof(
      value,
      field('rules', 'tls', 'backend', 'defaultBackend', 'ingressClassName'),
      fc.record({
        rules: fc.array(fc.oneof(value, fc.record({ host: value, http: fc.record({ paths: fc.array(path, { maxLength: 2 }) }) })), { maxLength: 2 }),
      }),
    )
    fc.assert(
      fc.property(
        spec,
        fc.constantFrom('networking.k8s.io/v1', 'extensions/v1beta1'),
        fc.constantFrom('Ingress', 'IngressClass'),
        (fields, apiVersion, kind) => {
          const text = JSON.stringify({ apiVersion: kind === 'Ingress' ? apiVersion : 'networking.k8s.io/v1', kind, metadata: { name: 'x' }, spec: fields })
          expect(Array.isArray(buildCluster([{ file: 't.json', text }]).problems)).toBe(true)
        },
      ),
      { numRuns: 400 },
    )
  })
})

const CLASS = 'apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: k8s.io/ingress-nginx}\n'

function controller(
  metadata: string,
  spec = '{nodeName: n1, containers: [{name: controller, image: registry.k8s.io/ingress-nginx/controller:v1.11.2}]}',
): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: ${metadata}\nspec: ${spec}\nstatus: {podIP: 10.244.0.9}\n`
}

describe('controllers', () => {
  const found = (...texts: string[]) => {
    const { cluster } = build(NODE, ...texts)
    return findControllers(cluster.pods, cluster.services)
  }

  it('are known by labels, images and flags', () => {
    expect(
      found(
        controller(
          '{name: c, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}',
          '{nodeName: n1, containers: [{name: controller, image: registry.k8s.io/ingress-nginx/controller:v1.11.2@sha256:0, args: [/nginx-ingress-controller, --controller-class=example.com/mine, --ingress-class=mine, --watch-namespace, shop, --default-backend-service=$(POD_NAMESPACE)/fallback, --http-port=8080]}]}',
        ),
      ),
    ).toMatchObject([
      {
        product: 'ingress-nginx',
        namespace: 'ingress-nginx',
        controllerName: 'example.com/mine',
        annotation: 'mine',
        classless: false,
        watchNamespace: 'shop',
        defaultBackendService: 'ingress-nginx/fallback',
        ports: { http: 8080, https: 443 },
      },
    ])
    const image = (text: string): string => controller('{name: c}', `{nodeName: n1, containers: [{name: x, image: "${text}"}]}`)
    const productOf = (text: string): [string, boolean] | undefined =>
      found(image(text)).map(({ product, classless }): [string, boolean] => [product, classless])[0]
    expect(productOf('quay.io/kubernetes-ingress-controller/nginx-ingress-controller:0.24.1')).toEqual(['ingress-nginx', true])
    expect(productOf('docker.io/traefik:v3.1')).toEqual(['traefik', true])
    expect(productOf('haproxytech/kubernetes-ingress:3.0')).toEqual(['haproxy-ingress', true])
    expect(productOf('nginx/nginx-ingress:3.6')).toEqual(['nginx-ingress', false])
    expect(productOf('nginx:1.27')).toBeUndefined()
    expect(productOf('example.com/traefik-forward-auth:2')).toBeUndefined()
  })

  it('are not default backends, nor the jobs of their webhook', () => {
    expect(
      found(controller('{name: c, labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: admission-webhook}}', '{nodeName: n1}')),
    ).toEqual([])
  })

  it.each<[string, IngressText, string | undefined]>([
    ['its class', { className: 'nginx' }, undefined],
    ['another class', { className: 'traefik' }, 'its class traefik is of traefik.io/ingress-controller'],
    ['a class that is not there', { className: 'x' }, 'there is no IngressClass x'],
    ['the annotation', { annotations: { 'kubernetes.io/ingress.class': 'nginx' } }, undefined],
    ['another annotation', { annotations: { 'kubernetes.io/ingress.class': 'gce' } }, 'its class gce is not nginx'],
    ['nothing', {}, 'it has no class, and ingress-nginx takes none without (--watch-ingress-without-class)'],
  ])('take an Ingress by %s', (_what, text, why) => {
    const { cluster } = build(
      NODE,
      controller('{name: c}'),
      CLASS,
      CLASS.replace('name: nginx', 'name: traefik').replace('k8s.io/ingress-nginx', 'traefik.io/ingress-controller'),
      ingress({ ...text, defaultService: 'web' }),
    )
    const [only] = findControllers(cluster.pods, cluster.services)
    const { taken, left } = ingressesOf(only, cluster.ingresses, cluster.ingressClasses)
    expect([taken.length, left.map((one) => one.why)]).toEqual(why === undefined ? [1, []] : [0, [why]])
  })

  it('take those without a class where theirs is the default', () => {
    const { cluster, texts } = build(
      NODE,
      controller('{name: c}'),
      CLASS.replace('{name: nginx}', '{name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}'),
      ingress({ defaultService: 'web' }),
    )
    const [only] = findControllers(cluster.pods, cluster.services)
    expect(ingressesOf(only, cluster.ingresses, cluster.ingressClasses).taken).toHaveLength(1)
    expect(texts.join('\n')).not.toContain('no controller takes it')
    expect(build(NODE, controller('{name: c}'), CLASS, ingress({ defaultService: 'web' })).texts.join('\n')).toContain(
      'no controller takes it: it has no class',
    )
  })
})

describe('the client’s leg', () => {
  const LABELS = 'labels: {app: ingress}'
  const entries = (tls: boolean, spec: string, ...texts: string[]): string[] => {
    const { cluster } = build(NODE, controller(`{name: c, ${LABELS}}`, spec), ...texts)
    const [only] = findControllers(cluster.pods, cluster.services)
    return entriesOf(only, { tls, nodeAddress: (node) => cluster.nodeByName.get(node)?.address }).map(
      ({ kind, address, port, object }) => `${kind} ${address === undefined ? '*' : formatIp(address)}:${port} ${object}`,
    )
  }
  const container = (ports: string): string => `containers: [{name: x, image: ingress-nginx/controller:v1.11.2, ports: ${ports}}]`
  const of = (more: object): string =>
    service('ingress', {
      ports: [
        { name: 'http', port: 80, targetPort: 'http', nodePort: 30080 },
        { name: 'https', port: 443, targetPort: 'https', nodePort: 30443 },
      ],
      more,
    })

  it('goes by load balancer, external address, node port', () => {
    const balanced = JSON.parse(of({ type: 'LoadBalancer', clusterIP: '10.96.0.50', externalIPs: ['192.0.2.9'] })) as object
    const text = `${JSON.stringify({ ...balanced, status: { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } } })}\n`
    expect(entries(true, `{nodeName: n1, ${container('[]')}}`, text)).toEqual([
      'LoadBalancer 192.0.2.10:443 Service/default/ingress',
      'externalIP 192.0.2.9:443 Service/default/ingress',
      'NodePort *:30443 Service/default/ingress',
      'ClusterIP 10.96.0.50:443 Service/default/ingress',
    ])
    expect(entries(false, `{nodeName: n1, ${container('[]')}}`, of({ type: 'NodePort', clusterIP: '10.96.0.50' }))[0]).toBe(
      'NodePort *:30080 Service/default/ingress',
    )
  })

  it('goes by the ports of the host', () => {
    expect(entries(true, `{nodeName: n1, hostNetwork: true, ${container('[]')}}`)).toEqual(['hostNetwork 192.168.10.11:443 Pod/default/c'])
    expect(entries(false, `{nodeName: n1, ${container('[{containerPort: 80, hostPort: 8080}, {containerPort: 443, hostPort: 8443}]')}}`)).toEqual([
      'hostPort 192.168.10.11:8080 Pod/default/c',
    ])
  })

  it('has no way where nothing opens one', () => {
    expect(entries(false, `{nodeName: n1, ${container('[{containerPort: 80}]')}}`)).toEqual([])
  })
})

describe('the controller’s leg', () => {
  const [plain, direct] = [{}, { annotations: { 'nginx.ingress.kubernetes.io/service-upstream': 'true' } }].map(
    (text) => build(ingress({ ...text, rules: [{ paths: [{ path: '/', port: 'http' }] }] })).cluster.ingresses[0],
  )
  const behind: readonly ServiceEndpoints[] = [
    endpoints({ name: 'default/web', clusterIP: '10.96.3.4' }, { address: '10.244.1.5', pod: podOf('web-0') }, { address: '10.244.2.5', ready: false }),
    endpoints({ name: 'default/none', clusterIP: '10.96.3.5' }),
    endpoints({ name: 'default/out', externalName: 'db.example.com' }),
  ]
  const at = { file: 't.yaml', line: 1 }
  const to = (name: string, port: number | string) => ({ service: { name, port }, ...at })

  it('goes to endpoints that are ready, past the clusterIP', () => {
    expect(backendTargets(plain, to('web', 'http'), behind)).toMatchObject({
      via: 'endpoints',
      targets: [{ address: ip('10.244.1.5'), port: 80, pod: { name: 'web-0' } }],
    })
  })

  it('goes to the clusterIP where the annotation says so', () => {
    expect(backendTargets(direct, to('web', 80), behind)).toMatchObject({ via: 'clusterIP', targets: [{ address: ip('10.96.3.4'), port: 80 }] })
  })

  it.each([
    ['none', 'http', 'Service none has no ready endpoint for port http'],
    ['web', 81, 'Service web has no port 81'],
    ['wbe', 80, 'there is no Service default/wbe'],
  ])('ends with 503 for %s:%s', (name, port, why) => {
    expect(backendTargets(plain, to(name, port), behind)).toMatchObject({ via: 'nothing', targets: [], status: 503, why })
  })

  it('of a resource ends too, and that of an ExternalName is a name to resolve', () => {
    expect(backendTargets(plain, { resource: 'StorageBucket/x', ...at }, behind).status).toBe(503)
    expect(backendTargets(plain, to('out', 80), behind)).toMatchObject({ via: 'name', externalName: 'db.example.com' })
  })
})
