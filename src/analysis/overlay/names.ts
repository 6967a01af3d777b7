/** What the command line may name of the overlays' comparison: light enough to be there before anything is measured. */

/** In the order of the tables. */
export const BACKEND_IDS = [
  'flannel-host-gw',
  'flannel-udp',
  'flannel-vxlan',
  'flannel-vxlan-direct',
  'flannel-ipip',
  'flannel-wireguard',
  'calico-none',
  'calico-ipip',
  'calico-ipip-crosssubnet',
  'calico-vxlan',
  'calico-vxlan-crosssubnet',
  'calico-wireguard',
  'canal',
] as const

export type BackendId = (typeof BACKEND_IDS)[number]

export const CHARTS = ['overhead', 'goodput'] as const
export type Chart = (typeof CHARTS)[number]
