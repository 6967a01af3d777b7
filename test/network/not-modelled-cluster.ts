/** A node, a client, a server and a Service with every kind of address, for a kube-proxy of any MODE. */
export const SERVICE_CLUSTER = `
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {nodeName: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {nodeName: n1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, clusterIP: 10.96.0.80, ports: [{port: 80, nodePort: 30080}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.80}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: MODE
---
apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec: {cni: flannel, datastore: kubernetes, clusterCIDR: 10.244.0.0/16}
`
