/**
 * How long things take in a scenario, by name: the default, where it is from, and what it is. `spec.delays` of a Scenario sets each.
 * Where a real one draws from a range the value is its middle, and the text says so.
 */

export interface DelayInfo {
  /** Nanoseconds. */
  readonly defaultNs: number
  readonly what: string
  /** Source file, flag or measurement. */
  readonly source: string
  /** The smallest that may be set, ns; absent: 0. Of what is done again and again. */
  readonly leastNs?: number
}

const MS = 1e6
const SECOND = 1e9
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const info = (defaultNs: number, what: string, source: string, leastNs?: number): DelayInfo => ({
  defaultNs,
  what,
  source,
  ...(leastNs === undefined ? {} : { leastNs }),
})

export const DELAYS = {
  'etcd.roundTrip': info(1 * MS, 'one question to etcd and its answer', 'assumed: a local network'),
  'etcd.watch': info(1 * MS, 'from a write to etcd until a watcher has heard of it', 'assumed: a local network'),
  'apiserver.watch': info(5 * MS, 'from a write to the API until a watcher has heard of it', 'assumed: a local network'),
  'controller.sync': info(20 * MS, 'a controller, from what it hears to what it writes', 'assumed'),
  'scheduler.bind': info(20 * MS, 'from a new pod to its binding', 'assumed'),
  'kubelet.podStart': info(2 * SECOND, 'from a binding to containers that run: sandbox, CNI, image at hand', 'assumed'),
  'kubelet.podStop': info(1 * SECOND, 'from SIGTERM until the containers have ended', 'assumed; a pod that ignores SIGTERM takes its grace period of 30 s'),
  'kubelet.heartbeat': info(10 * SECOND, 'between renewals of the node’s Lease', 'kubelet nodeLeaseDurationSeconds 40, renewed each quarter of it', 100 * MS),
  'kubelet.retry': info(10 * SECOND, 'after a sandbox to which the CNI plugin gave no address', 'kubelet pkg/kubelet/kubelet.go, backOffPeriod', 100 * MS),
  'nodeController.gracePeriod': info(
    50 * SECOND,
    'without a heartbeat until the node is Unknown',
    'kube-controller-manager --node-monitor-grace-period (40 s before 1.32)',
  ),
  'nodeController.period': info(5 * SECOND, 'between two looks at the nodes', 'kube-controller-manager --node-monitor-period', 100 * MS),
  'taints.eviction': info(300 * SECOND, 'a pod stays on a node that is unreachable', 'DefaultTolerationSeconds admission: tolerationSeconds 300'),
  'podGC.quarantine': info(40 * SECOND, 'from a Node’s deletion until its pods are deleted', 'pkg/controller/podgc/gc_controller.go, quarantineTime'),
  'kubeProxy.minSyncPeriod': info(1 * SECOND, 'kube-proxy writes its rules no more often', 'kube-proxy --iptables-min-sync-period'),
  'kubeProxy.syncPeriod': info(30 * SECOND, 'kube-proxy looks whether its chains are still there', 'kube-proxy --iptables-sync-period', 100 * MS),
  'felix.apply': info(100 * MS, 'from an update of the datastore to the kernel', 'assumed; Felix’s int_dataplane.go throttles applies to ten a second'),
  'felix.refresh': info(
    90 * SECOND,
    'Felix looks for what others changed in its chains and routes',
    'FelixConfiguration iptablesRefreshInterval, routeRefreshInterval',
    100 * MS,
  ),
  'confd.poll': info(500 * MS, 'from an update of the datastore until BIRD has reread its files', 'assumed'),
  'bird.start': info(50 * MS, 'from the start of BIRD’s process until its protocols are up', 'assumed; measured: a mesh of five is whole 2.09 s after it'),
  'bird.hold': info(
    240 * SECOND,
    'without a word from a peer until its session is given up, less up to a quarter; whole seconds',
    'BIRD proto/bgp/config.Y',
    3 * SECOND,
  ),
  'bird.keepalive': info(
    80 * SECOND,
    'between keepalives, less up to a quarter; at most a third of bird.hold',
    'BIRD packets.c bgp_rx_open: hold / 3',
    1 * SECOND,
  ),
  'bird.connectDelay': info(2 * SECOND, 'before the first dial', 'Calico bird.cfg.template, connect delay time'),
  'bird.connectRetry': info(5 * SECOND, 'a dial is given up and made anew', 'Calico bird.cfg.template, connect retry time', 100 * MS),
  'bird.errorWait': info(5 * SECOND, 'after an error of a session; each further one doubles it', 'Calico bird.cfg.template, error wait time', 100 * MS),
  'bird.errorWaitMax': info(30 * SECOND, 'the longest wait after an error', 'Calico bird.cfg.template, error wait time', 100 * MS),
  'bird.gracefulRestart': info(
    120 * SECOND,
    'routes of a peer whose BIRD died are kept; whole seconds',
    'BIRD proto/bgp/config.Y; BGPConfiguration nodeMeshMaxRestartTime, BGPPeer maxRestartTime go before it',
  ),
  'bird.recoveryWait': info(240 * SECOND, 'a BIRD that starts waits so long for peers that do not come', 'BIRD nest/protocol.h GRACEFUL_RESTART wait'),
  'bird.kernelScan': info(2 * SECOND, 'BIRD looks through the kernel’s routes', 'Calico bird.cfg.template, scan time', 100 * MS),
  'agent.start': info(2 * SECOND, 'from the start of an agent’s process until it asks its first question', 'assumed'),
  'flannel.leaseTTL': info(24 * HOUR, 'time to live of a lease in etcd', 'flannel pkg/subnet/etcd/local_manager.go, subnetTTL', 1 * SECOND),
  'flannel.renewMargin': info(1 * HOUR, 'flanneld renews its lease so long before the end', 'flanneld --subnet-lease-renew-margin'),
  'flannel.spread': info(
    2 * MS,
    'between the first starts of flanneld on two nodes without a lease; 0: all ask at once',
    'assumed: time enough for each to have its lease before the next asks',
  ),
  'flannel.apply': info(
    10 * MS,
    'from what flanneld hears to the kernel; what it hears meanwhile goes with it',
    'assumed: a few netlink messages for each lease',
  ),
  'flannel.restart': info(
    10 * SECOND,
    'from the end of flanneld’s process until its supervisor starts it anew; a DaemonSet’s kubelet waits twice as long each time, up to 5 min',
    'kubelet CrashLoopBackOff; systemd: RestartSec of the unit, assumed the same',
    1 * SECOND,
  ),
  'flannel.reconnect': info(
    5 * SECOND,
    'the longest wait of a watch that was cut until it asks again; the first is 100 ms, each further one twice as long',
    'flannel pkg/subnet/etcd/registry.go, maxBackoff',
    100 * MS,
  ),
  'etcd.start': info(
    2 * SECOND,
    'from the start of etcd’s process until it answers: its log is read, a leader elected',
    'assumed; etcd --election-timeout 1 s',
  ),
  'host.boot': info(30 * SECOND, 'from power on until agents are started', 'assumed'),
} as const satisfies Readonly<Record<string, DelayInfo>>

export type DelayName = keyof typeof DELAYS

/** Nanoseconds. */
export type Delays = Readonly<Record<DelayName, number>>

export function delaysOf(set: Partial<Delays>): Delays {
  const all = Object.entries(DELAYS).map(([name, { defaultNs }]) => [name, set[name as DelayName] ?? defaultNs])
  return Object.fromEntries(all) as Delays
}
