/** In what the BIRDs differ: Calico's fork of 1.6, Debian's 1.6, and BIRD 2. */
export interface BirdFlavour {
  readonly name: 'calico' | 'bird1' | 'bird2'
  readonly version: string
  /** Routes over tunl0: by krt_tunnel of the fork, by device and gateway of a filter in BIRD 2. */
  readonly tunnels: boolean
  /** Metric of every route in the kernel; undefined: the filter's. */
  readonly kernelMetric?: number
  /** Routes of `direct` go into the kernel too. */
  readonly deviceRoutes: boolean
  /** Timers and jitter in whole seconds, and the same draw in every process, as the generator is never seeded. */
  readonly wholeSeconds: boolean
  /** CLUSTER_LIST goes out sorted, as any set of numbers (proto/bgp/attrs.c bgp_get_bucket). */
  readonly sortsClusterList: boolean
  /** What a new session is told of the table leaves with the next turn of the loop (io.c io_loop: work that feeds comes after the events that send). */
  readonly feedsApart: boolean
  /** A route whose next hop is the peer itself is withdrawn instead of kept back in silence. */
  readonly withdrawsPeersOwn: boolean
}

export const CALICO_BIRD: BirdFlavour = {
  name: 'calico',
  version: 'v0.3.3+birdv1.6.8',
  tunnels: true,
  deviceRoutes: false,
  wholeSeconds: true,
  sortsClusterList: true,
  feedsApart: false,
  withdrawsPeersOwn: false,
}
export const BIRD_2: BirdFlavour = {
  name: 'bird2',
  version: '2.0.12',
  tunnels: true,
  kernelMetric: 32,
  deviceRoutes: true,
  wholeSeconds: false,
  sortsClusterList: false,
  feedsApart: true,
  withdrawsPeersOwn: true,
}
