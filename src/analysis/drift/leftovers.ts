/** What another CNI left behind: its devices, and by them and its chains the routes and rules that are its. */
import { formatCidr } from '../../base/cidr.js'
import type { DeviceSpec } from '../../dataplane/dataplane.js'
import type { Difference, DriftView } from './difference.js'
import { Printer, shown } from './shown.js'
import { mend } from './shell-words.js'

interface Cni {
  readonly name: string
  readonly devices: RegExp
  readonly chains: RegExp
  /** Word of the cluster's cni for which it is no leftover. */
  readonly of: readonly string[]
}

/** It has none. */
const NEVER = /(?!)/

const CNIS: readonly Cni[] = [
  { name: 'flannel', devices: /^flannel(\.\d+|0|-wg|-v6\.\d+)$/, chains: /^FLANNEL-/, of: ['flannel', 'canal'] },
  { name: 'the bridge plugin', devices: /^(cni0|cbr0|kube-bridge0)$/, chains: NEVER, of: ['flannel', 'none'] },
  { name: 'Calico', devices: /^(cali[0-9a-f]{11}|vxlan\.calico|wireguard\.cali|bpf(in|out)\.cali)$/, chains: /^cali-/, of: ['calico', 'canal'] },
  { name: 'Weave', devices: /^(weave|datapath|vethwe-.*|vxlan-6784)$/, chains: /^WEAVE(-|$)/, of: [] },
  { name: 'Cilium', devices: /^(cilium_(host|net|vxlan|geneve|wg0)|lxc[0-9a-f]+|lxc_health)$/, chains: /^(OLD_)?CILIUM_/, of: [] },
  { name: 'kube-router', devices: /^(kube-bridge|kube-dummy-if|tun-[0-9a-f]{9,12})$/, chains: /^KUBE-(ROUTER|POD-FW|NWPLCY)-/, of: [] },
  { name: 'Antrea', devices: /^antrea-/, chains: /^ANTREA-/, of: [] },
  { name: 'OVN-Kubernetes', devices: /^(ovn-k8s-mp\d+|genev_sys_6081)$/, chains: /^OVN-KUBE-/, of: [] },
  { name: 'kube-proxy in IPVS mode', devices: /^kube-ipvs0$/, chains: NEVER, of: [] },
]

/** Whose the device is, where it is not this cluster's. */
function cniOfDevice(view: DriftView, name: string): Cni | undefined {
  const expected = view.expected.devices
  if (expected.some((device) => device.name === name)) return undefined
  const own = view.network.cluster.cni
  const found = CNIS.find(({ devices }) => devices.test(name))
  // of flannel's own there is one
  return found === undefined || (found.of.includes(own) && !(found.name === 'flannel' && expected.some((device) => found.devices.test(device.name))))
    ? undefined
    : found
}

export function cniOfChain(view: DriftView, chain: string): string | undefined {
  const own = view.network.cluster.cni
  return CNIS.find(({ chains, of }) => chains.test(chain) && !of.includes(own))?.name
}

export function leftoverDifferences(view: DriftView): Difference[] {
  const found: Difference[] = []
  for (const device of view.there.devices) {
    const cni = cniOfDevice(view, device.name)
    if (cni !== undefined) found.push(leftover(view, device, cni))
  }
  return found
}

export function leftoverCause(cni: string): Pick<Difference, 'cause' | 'whole'> & { readonly repair: string } {
  const repair = 'nobody takes it away: the CNI that made it does not run here any more'
  return { cause: `cni ${cni}`, repair, whole: { code: 'ND701', what: `there are leftovers of ${cni}, which is not this cluster’s CNI`, repair, least: 1 } }
}

function leftover(view: DriftView, device: DeviceSpec, cni: Cni): Difference {
  const printer = new Printer(view)
  const routes = view.there.routes.filter((route) => route.device === device.name && route.table !== 'local' && route.type !== 'broadcast')
  const prefixes = routes.map(({ destination }) => formatCidr(destination)).join(', ')
  const isBusy = view.there.devices.some(({ master }) => master === device.name)
  return {
    code: 'ND701',
    ...leftoverCause(cni.name),
    what: `${printer.device(device.name)} of ${cni.name} is still there${prefixes === '' ? '' : `, with ${prefixes} routed to it`}`,
    expected: [],
    there: [printer.deviceLine(device), ...device.addresses.map((address) => printer.address(device, address)), ...routes.map((route) => printer.route(route))],
    apply: (dataplane) => ({
      ...dataplane,
      // nobody is behind it here, whatever it is
      devices: [...dataplane.devices, standIn(device)],
      routes: [...dataplane.routes, ...routes],
    }),
    focus: {},
    commands: [
      isBusy
        ? mend`ip link del ${printer.device(device.name)}   # it still has ports: look who they are of first`
        : mend`ip link del ${printer.device(device.name)}`,
    ],
  }
}

function standIn({ name, mtu, mac, up, addresses, provenance }: DeviceSpec): DeviceSpec {
  return { kind: 'dummy', name, mtu, up, addresses, ...(mac === undefined ? {} : { mac }), ...(provenance === undefined ? {} : { provenance }) }
}

/** Does the route go with a device of another CNI? */
export function isLeftoverRoute(view: DriftView, device: string | undefined): boolean {
  return device !== undefined && cniOfDevice(view, device) !== undefined
}

const PLUGINS: Readonly<Record<string, readonly string[]>> = {
  flannel: ['flannel'],
  calico: ['calico', 'calico-ipam'],
  canal: ['calico', 'flannel'],
  none: ['bridge'],
}

/** The runtime takes the first file by name that it understands (libcni ConfFiles, sorted). */
export function cniFileDifferences(view: DriftView): Difference[] {
  const files = [...(view.collected?.cni ?? [])].sort((a, b) => (a.file < b.file ? -1 : 1))
  const [first, ...more] = files
  const wanted = PLUGINS[view.network.cluster.cni] ?? []
  // a meta plug-in calls the others itself
  if (first === undefined || wanted.length === 0 || first.plugins.some((plugin) => wanted.includes(plugin) || plugin === 'multus')) return []
  const right = more.find(({ plugins }) => plugins.some((plugin) => wanted.includes(plugin)))
  const base = first.file.split('/').at(-1) ?? first.file
  return [
    {
      code: 'ND702',
      cause: 'cni files',
      what:
        right === undefined
          ? `/etc/cni/net.d/${base} plugs pods in with ${first.plugins.join(', ')}; there is no configuration of ${wanted[0]}`
          : `the runtime reads /etc/cni/net.d/${base} (${first.plugins.join(', ')}) before ${right.file.split('/').at(-1)}`,
      expected: right === undefined ? [] : [shown(`${right.file.split('/').at(-1)}: ${right.plugins.join(', ')}`, { by: 'dump', file: right.file })],
      there: [shown(`${base}: ${first.plugins.join(', ')}`, { by: 'dump', file: first.file })],
      focus: {},
      commands: right === undefined ? [] : [mend`mv /etc/cni/net.d/${base} /etc/cni/net.d/${base}.disabled`],
      repair: 'nobody takes it away; pods that run keep the network that they have',
    },
  ]
}
