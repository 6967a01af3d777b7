/**
 * Ingress controllers → which pods they are, which Ingresses they take, where clients reach them and where they send requests to. Nothing of the
 * API says which pods those are: known by the labels and flags of their own manifests. Source: ingress-nginx deploy/static, pkg/flags/flags.go,
 * internal/ingress/controller/store (GetIngressClass); traefik and haproxy charts.
 */
import type { Ip } from '../../base/ip.js'
import { isObject, type JsonValue } from '../located.js'
import { matchesLabels } from '../labels.js'
import type { ClusterPod } from '../pod.js'
import type { Place } from '../problem-list.js'
import type { ClusterService, ServiceEndpoint, ServiceEndpoints, ServicePort } from '../services/service.js'
import type { Ingress, IngressBackend, IngressClass } from './ingress.js'

interface Product {
  readonly name: string
  /** IngressClass.spec.controller */
  readonly controller: string
  /** Its word in the annotation kubernetes.io/ingress.class. */
  readonly annotation: string
  /** Values of app.kubernetes.io/name, app or k8s-app. */
  readonly labels: readonly string[]
  readonly image: RegExp
  /** It takes Ingresses without a class unless told otherwise. */
  readonly classless: boolean
  /** Where its container listens unless flags or ports say otherwise. */
  readonly ports: { readonly http: number; readonly https: number }
}

const PRODUCTS: readonly Product[] = [
  {
    name: 'ingress-nginx',
    controller: 'k8s.io/ingress-nginx',
    annotation: 'nginx',
    labels: ['ingress-nginx', 'nginx-ingress-controller', 'nginx-ingress-lb'],
    image: /(ingress-nginx\/controller|nginx-ingress-controller)/,
    classless: false,
    ports: { http: 80, https: 443 },
  },
  {
    name: 'nginx-ingress',
    controller: 'nginx.org/ingress-controller',
    annotation: 'nginx',
    labels: ['nginx-ingress'],
    image: /nginx\/nginx-ingress/,
    classless: false,
    ports: { http: 80, https: 443 },
  },
  {
    name: 'traefik',
    controller: 'traefik.io/ingress-controller',
    annotation: 'traefik',
    labels: ['traefik', 'traefik-ingress-lb'],
    image: /(^|\/)traefik(:|@|$)/,
    classless: true,
    ports: { http: 8000, https: 8443 },
  },
  {
    name: 'haproxy-ingress',
    controller: 'haproxy.org/ingress-controller',
    annotation: 'haproxy',
    labels: ['kubernetes-ingress', 'haproxy-ingress'],
    image: /(haproxytech\/kubernetes-ingress|haproxy-ingress)/,
    classless: true,
    ports: { http: 8080, https: 8443 },
  },
]

export interface IngressController {
  /** `ingress-nginx` */
  readonly product: string
  readonly namespace: string
  /** Those that run and are ready: what clients can reach. */
  readonly pods: readonly ClusterPod[]
  readonly services: readonly ClusterService[]
  /** What a class must name for the controller to take its Ingresses. */
  readonly controllerName: string
  readonly annotation: string
  readonly classless: boolean
  readonly watchNamespace?: string
  /** `ns/name` of --default-backend-service. */
  readonly defaultBackendService?: string
  readonly ports: { readonly http: number; readonly https: number }
}

/** One for each product and namespace, and for flags that differ. */
export function findControllers(pods: readonly ClusterPod[], services: readonly ClusterService[]): IngressController[] {
  const found = new Map<
    string,
    { readonly product: Product; readonly flags: ReadonlyMap<string, string>; readonly old: boolean; readonly pods: ClusterPod[] }
  >()
  for (const pod of pods) {
    if (pod.terminated) continue
    const product = productOf(pod)
    if (product === undefined) continue
    const { flags, image } = commandOf(pod, product)
    const key = JSON.stringify([product.name, pod.namespace, [...flags]])
    const known = found.get(key)
    if (known === undefined) found.set(key, { product, flags, old: isBeforeOne(product, image), pods: [pod] })
    else known.pods.push(pod)
  }
  return [...found.values()].map(({ product, flags, old, pods: members }) => {
    const [{ namespace }] = members
    const watch = flags.get('watch-namespace')
    const fallback = flags.get('default-backend-service')
    const annotation = flags.get('ingress-class') || flags.get('ingress.class') || product.annotation
    const numbered = (flag: string, otherwise: number): number => Number(flags.get(flag)) || otherwise
    return {
      product: product.name,
      namespace,
      pods: members.filter(({ ready, node }) => ready && node !== undefined),
      services: services.filter((service) => service.namespace === namespace && selects(service, members)),
      controllerName: flags.get('controller-class') || product.controller,
      annotation,
      classless: flags.get('watch-ingress-without-class') === 'true' || product.classless || (old && annotation === product.annotation),
      ...(watch ? { watchNamespace: watch } : {}),
      ...(fallback ? { defaultBackendService: fallback.replace('$(POD_NAMESPACE)', namespace) } : {}),
      ports: { http: numbered('http-port', product.ports.http), https: numbered('https-port', product.ports.https) },
    }
  })
}

function selects({ selector }: ClusterService, pods: readonly ClusterPod[]): boolean {
  return selector !== undefined && Object.keys(selector).length > 0 && pods.some(({ labels }) => matchesLabels(selector, labels))
}

/** A default backend and the jobs of the admission webhook share the name and are told apart by the component. */
function productOf({ labels, object }: ClusterPod): Product | undefined {
  const component = labels['app.kubernetes.io/component'] ?? 'controller'
  if (component !== 'controller') return undefined
  const names = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name'].flatMap((key) => labels[key] ?? [])
  const images = containersOf(object.value.spec).flatMap(({ image }) => (typeof image === 'string' ? image : []))
  return PRODUCTS.find(({ image }) => images.some((one) => image.test(one))) ?? PRODUCTS.find((product) => product.labels.some((name) => names.includes(name)))
}

interface ContainerFields {
  readonly image?: JsonValue
  readonly args?: JsonValue
  readonly command?: JsonValue
}

function containersOf(spec: JsonValue | undefined): ContainerFields[] {
  const list: JsonValue | undefined = isObject(spec) ? spec.containers : undefined
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter(isObject) : []
}

/** Flags of the container that has the product's image, else of the first. */
function commandOf({ object }: ClusterPod, product: Product): { readonly flags: ReadonlyMap<string, string>; readonly image: string } {
  const containers = containersOf(object.value.spec)
  const container = containers.find(({ image }) => typeof image === 'string' && product.image.test(image)) ?? containers[0]
  const words = [container?.command, container?.args].flatMap((list) => (Array.isArray(list) ? (list as readonly JsonValue[]) : [])).map(String)
  const flags = new Map<string, string>()
  for (const [index, word] of words.entries()) {
    const [, name, value] = /^--?([A-Za-z][A-Za-z0-9.-]*)(?:=(.*))?$/s.exec(word) ?? []
    const next = words[index + 1] ?? ''
    if (name !== undefined) flags.set(name.toLowerCase(), value ?? (next.startsWith('-') || next === '' ? 'true' : next))
  }
  return { flags, image: typeof container?.image === 'string' ? container.image : '' }
}

/** ingress-nginx before 1.0 knew no IngressClass by default: nothing said meant its own. */
function isBeforeOne({ name }: Product, image: string): boolean {
  return name === 'ingress-nginx' && /:v?0\./.test(image)
}

// ---- classes

export interface TakenIngresses {
  readonly taken: readonly Ingress[]
  readonly left: readonly { readonly ingress: Ingress; readonly why: string }[]
}

/** By class: ingressClassName, the annotation, then the default class, which an API server writes into new Ingresses without any. */
export function ingressesOf(controller: IngressController, ingresses: readonly Ingress[], classes: readonly IngressClass[]): TakenIngresses {
  const taken: Ingress[] = []
  const left: { ingress: Ingress; why: string }[] = []
  for (const ingress of ingresses) {
    const why = whyLeft(controller, ingress, classes)
    if (why === undefined) taken.push(ingress)
    else left.push({ ingress, why })
  }
  return { taken, left }
}

function whyLeft(controller: IngressController, ingress: Ingress, classes: readonly IngressClass[]): string | undefined {
  const { product, controllerName, annotation, classless, watchNamespace } = controller
  const { namespace, className, annotatedClass } = ingress
  if (watchNamespace !== undefined && watchNamespace !== namespace) return `${product} watches namespace ${watchNamespace} only`
  const named = className ?? (annotatedClass === undefined ? classes.find(({ isDefault }) => isDefault)?.name : undefined)
  if (named !== undefined) {
    const found = classes.find(({ name }) => name === named)
    if (found === undefined) return `there is no IngressClass ${named}`
    return found.controller === controllerName ? undefined : `its class ${named} is of ${found.controller ?? 'no controller'}`
  }
  if (annotatedClass !== undefined && annotatedClass !== '')
    return annotatedClass === annotation ? undefined : `its class ${annotatedClass} is not ${annotation}`
  return classless ? undefined : `it has no class, and ${product} takes none without (--watch-ingress-without-class)`
}

// ---- the client's leg

/** Where a client can reach a controller. */
export interface IngressEntry extends Place {
  readonly kind: 'LoadBalancer' | 'externalIP' | 'NodePort' | 'ClusterIP' | 'hostPort' | 'hostNetwork'
  /** Absent: a node port, on every node's address. */
  readonly address?: Ip
  readonly port: number
  /** Of hostPort and hostNetwork. */
  readonly node?: string
  /** The object that opens it. */
  readonly object: string
}

/** From outside first: load balancers, external addresses, the host's own ports, node ports; ClusterIP for clients inside. */
export function entriesOf(
  { services, pods, ports }: IngressController,
  { tls, nodeAddress }: { readonly tls: boolean; readonly nodeAddress: (node: string) => Ip | undefined },
): IngressEntry[] {
  const entries: IngressEntry[] = []
  const target = tls ? ports.https : ports.http
  for (const service of services) {
    const port = service.ports.find((one) => isEntry(one, { tls, target }))
    if (port === undefined) continue
    const { file, line, object } = service
    const at = { object: object.label, file, line }
    for (const { address } of service.loadBalancerAddresses) entries.push({ ...at, kind: 'LoadBalancer', address, port: port.port })
    for (const address of service.externalIPs) entries.push({ ...at, kind: 'externalIP', address, port: port.port })
    if (port.nodePort !== undefined) entries.push({ ...at, kind: 'NodePort', port: port.nodePort })
    if (service.clusterIP !== undefined) entries.push({ ...at, kind: 'ClusterIP', address: service.clusterIP, port: port.port })
  }
  for (const pod of pods) {
    const node = pod.node ?? ''
    const address = nodeAddress(node)
    const declared = pod.ports.find((one) => one.hostPort !== undefined && one.port === target)
    const at = { object: pod.object.label, file: pod.file, line: pod.line, node, ...(address === undefined ? {} : { address }) }
    if (pod.hostNetwork) entries.push({ ...at, kind: 'hostNetwork', port: target })
    else if (declared?.hostPort !== undefined) entries.push({ ...at, kind: 'hostPort', port: declared.hostPort })
  }
  return entries.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
}

const ORDER: readonly IngressEntry['kind'][] = ['LoadBalancer', 'externalIP', 'hostPort', 'hostNetwork', 'NodePort', 'ClusterIP']

function isEntry({ name, port, targetPort, protocol }: ServicePort, { tls, target }: { readonly tls: boolean; readonly target: number }): boolean {
  const word = tls ? 'https' : 'http'
  return protocol === 'TCP' && (name === word || targetPort === word || port === (tls ? 443 : 80) || targetPort === target)
}

// ---- the controller's leg

export interface IngressTarget {
  readonly address: Ip
  readonly port: number
  readonly pod?: ClusterPod
}

/** What the controller connects to; `targets` empty: it answers `status` by itself. */
export interface BackendTargets {
  /** clusterIP: through kube-proxy. endpoints: past it, straight to a pod. name: an ExternalName, which the controller resolves. */
  readonly via: 'endpoints' | 'clusterIP' | 'name' | 'nothing'
  readonly targets: readonly IngressTarget[]
  readonly service?: ClusterService
  readonly port?: ServicePort
  readonly externalName?: string
  /** HTTP status without a target: 503. */
  readonly status?: number
  readonly why: string
}

const SERVICE_UPSTREAM = 'nginx.ingress.kubernetes.io/service-upstream'

export function backendTargets(ingress: Ingress, { service: wanted }: IngressBackend, all: readonly ServiceEndpoints[]): BackendTargets {
  const nothing = (why: string): BackendTargets => ({ via: 'nothing', targets: [], status: 503, why })
  if (wanted === undefined) return nothing('the backend is no Service: controllers of Services leave it out')
  const behind = all.find(({ service }) => service.namespace === ingress.namespace && service.name === wanted.name)
  if (behind === undefined) return nothing(`there is no Service ${ingress.namespace}/${wanted.name}`)
  const { service } = behind
  const port =
    service.ports.find((one) => one.port === wanted.port || one.name === wanted.port) ?? service.ports.find(({ targetPort }) => targetPort === wanted.port)
  if (service.type === 'ExternalName')
    return {
      via: 'name',
      targets: [],
      service,
      ...(port === undefined ? {} : { port }),
      externalName: service.externalName ?? '',
      why: 'an ExternalName: the controller resolves it',
    }
  if (port === undefined) return { ...nothing(`Service ${wanted.name} has no port ${wanted.port}`), service }
  const base = { service, port }
  if (ingress.annotations[SERVICE_UPSTREAM] === 'true' && service.clusterIP !== undefined)
    return { ...base, via: 'clusterIP', targets: [{ address: service.clusterIP, port: port.port }], why: `annotation ${SERVICE_UPSTREAM}` }
  const endpoints = (behind.ports.find((one) => one.port === port)?.endpoints ?? []).filter(({ ready }) => ready)
  if (endpoints.length === 0)
    return { ...base, via: 'nothing', targets: [], status: 503, why: `Service ${wanted.name} has no ready endpoint for port ${wanted.port}` }
  return {
    ...base,
    via: 'endpoints',
    targets: endpoints.map(targetOf),
    why: 'controllers read the endpoints themselves and leave the clusterIP and kube-proxy out',
  }
}

function targetOf({ address, port, pod }: ServiceEndpoint): IngressTarget {
  return { address, port, ...(pod === undefined ? {} : { pod }) }
}
