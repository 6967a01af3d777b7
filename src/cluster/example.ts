/**
 * The cluster that netsim takes when it is given none: examples/flannel-udp.yaml, word for word (a test holds the two together), because
 * nothing here may read files and the command has to work from its package alone.
 */
export const EXAMPLE_TEXT = `# Two hosts, plain docker on each, flannel's udp backend between them: the classic picture.
#
#   host-a 192.168.0.100                        host-b 192.168.0.200
#   pod-a  10.1.15.2 ─┐                         ┌─ pod-b 10.1.20.3
#   pod-a2 10.1.15.3 ─┴ docker0 10.1.15.1       └─ docker0 10.1.20.1
#                       flannel0 10.1.15.0         flannel0 10.1.20.0
#                       flanneld ══ UDP 8285 ══════ flanneld
#                       eth0 ─────── 192.168.0.0/24 ─── eth0
#
#   netsim trace pod-a pod-b -f examples/flannel-udp.yaml
apiVersion: v1
kind: Node
metadata: {name: host-a}
status: {addresses: [{type: InternalIP, address: 192.168.0.100}]}
---
apiVersion: v1
kind: Node
metadata: {name: host-b}
status: {addresses: [{type: InternalIP, address: 192.168.0.200}]}
---
# No containerPorts: a pod is then taken to listen on every port.
apiVersion: v1
kind: Pod
metadata: {name: pod-a}
spec: {nodeName: host-a}
status: {phase: Running, podIP: 10.1.15.2}
---
# On host-a too: its packets to pod-a cross docker0 and nothing else.
apiVersion: v1
kind: Pod
metadata: {name: pod-a2}
spec: {nodeName: host-a}
status: {phase: Running, podIP: 10.1.15.3}
---
apiVersion: v1
kind: Pod
metadata: {name: pod-b}
spec: {nodeName: host-b}
status: {phase: Running, podIP: 10.1.20.3}
---
# What no Kubernetes object says.
apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec:
  cni: flannel
  datastore: etcd
  # docker0 takes its subnet from flannel (--bip); docker's own iptables rules are off, as in the time of this picture.
  runtime: {name: docker, iptables: false}
  # What etcd holds: the configuration, and one lease for each host.
  etcd:
    /coreos.com/network/config: '{"Network": "10.1.0.0/16", "Backend": {"Type": "udp"}}'
    /coreos.com/network/subnets/10.1.15.0-24: '{"PublicIP":"192.168.0.100"}'
    /coreos.com/network/subnets/10.1.20.0-24: '{"PublicIP":"192.168.0.200"}'
  flannel: {ipMasq: true, version: "0.11.0", iface: eth0}
  kubeProxy: {mode: none}
  underlay:
    segments: [{name: s0, cidr: 192.168.0.0/24, router: 192.168.0.254, mtu: 1500, latency: 50us, rate: 10Gbps}]
`
