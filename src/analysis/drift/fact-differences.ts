/** What the cluster's objects say of the node, against what the node has: the published address, subnet.env. */
import { formatCidr, cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { Difference, DriftView } from './difference.js'
import { repairOf, restartOf } from './repair.js'
import { shown } from './shown.js'

export function factDifferences(view: DriftView): Difference[] {
  return [...publicAddress(view), ...subnetFile(view)]
}

/** An address that a NAT gives to the node is on none of its devices: whoever overwrites it says so in an annotation. */
function publicAddress(view: DriftView): Difference[] {
  const { node, network, facts } = view
  const object = network.cluster.nodeByName.get(node)
  const lease = facts.ownLease(node)
  if (lease === undefined || object?.flannel?.publicIp === undefined || object.flannel.publicIpOverwrite !== undefined) return []
  const { publicIp } = lease.attributes
  if (view.there.devices.some(({ addresses }) => addresses.some(({ address }) => address === publicIp))) return []
  const has = view.there.devices.flatMap(({ name, kind, addresses }) =>
    kind === 'loopback' || name.startsWith('flannel') ? [] : addresses.map(({ address }) => ({ name, address })),
  )
  return [
    {
      code: 'ND801',
      cause: 'public address',
      what: `the node published ${formatIp(publicIp)} as its PublicIP, which is on none of its devices: other nodes send its pods’ packets there`,
      expected: [{ ...shown(`PublicIP ${formatIp(publicIp)}`, { by: 'flanneld' }), ...facts.placeOf(node) }],
      there: has
        .slice(0, 4)
        .map(({ name, address }) =>
          shown(`inet ${formatIp(address)} dev ${view.alignment.toDump.device(name)}`, view.there.devices.find((one) => one.name === name)?.provenance),
        ),
      focus: {},
      commands: [restartOf('flanneld', node) ?? ''],
      repair: 'flanneld publishes its address when it starts, not in between: restart flanneld',
    },
  ]
}

function subnetFile(view: DriftView): Difference[] {
  const { node, network, collected } = view
  const [env, wanted] = [collected?.subnetEnv, network.subnetEnvs().get(node)]
  if (env === undefined || wanted === undefined) return []
  const lines: (readonly [key: string, has: string | undefined, should: string])[] = [
    [
      'FLANNEL_SUBNET',
      env.subnet === undefined ? undefined : `${formatIp(env.subnet.address)}/${env.subnet.length}`,
      `${formatIp(wanted.subnet.address)}/${wanted.subnet.length}`,
    ],
    ['FLANNEL_MTU', env.mtu === undefined ? undefined : String(env.mtu), String(wanted.mtu)],
    ...(wanted.network === undefined
      ? []
      : [['FLANNEL_NETWORK', env.network === undefined ? undefined : formatCidr(env.network), formatCidr(wanted.network)] as const]),
  ]
  const others = lines.filter(([, has, should]) => has !== undefined && has !== should)
  if (others.length === 0) return []
  const lease = network.flannel?.ownLeases.get(node)
  return [
    {
      code: 'ND802',
      cause: 'subnet.env',
      what: `/run/flannel/subnet.env has ${others.map(([key, has, should]) => `${key} ${has} in place of ${should}`).join(', ')}`,
      expected: others.map(([key, , should]) =>
        shown(`${key}=${should}`, {
          by: 'flanneld',
          ...(lease === undefined ? {} : { object: `lease ${formatCidr(cidr(lease.subnet.base, lease.subnet.length))}` }),
        }),
      ),
      there: others.map(([key, has]) => shown(`${key}=${has}`, { by: 'dump', file: env.file })),
      focus: {},
      commands: [restartOf('flanneld', node) ?? ''],
      repair: repairOf('flanneld', 'device'),
    },
  ]
}
