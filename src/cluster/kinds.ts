/** What netsim knows about kinds: which API versions a kind has had, whether it lives in a namespace, and what part it plays. */
import { isClassicKind } from './calico/classic-identity.js'

/**
 * read: built into the cluster. policies: looked at where it is asked what policies mean, and nowhere else. calico: Calico's own objects, kept
 * for its agents. none: plays no part in packet paths, and of its objects the head alone is kept (noise.ts).
 */
type Role = 'read' | 'policies' | 'calico' | 'none'

interface KindInfo {
  readonly role: Role
  readonly namespaced: boolean
  /** Every apiVersion that the kind has had; absent: not checked. */
  readonly apiVersions?: readonly string[]
}

function entry(role: Role, scope: 'namespaced' | 'cluster', ...apiVersions: readonly string[]): KindInfo {
  return { role, namespaced: scope === 'namespaced', ...(apiVersions.length > 0 ? { apiVersions } : {}) }
}

const KINDS: ReadonlyMap<string, KindInfo> = new Map([
  ['Node', entry('read', 'cluster', 'v1')],
  ['Namespace', entry('read', 'cluster', 'v1')],
  ['Pod', entry('read', 'namespaced', 'v1')],
  ['ConfigMap', entry('read', 'namespaced', 'v1')],
  ['Network', entry('read', 'cluster', 'netsim/v1')],
  ['EtcdSnapshot', entry('read', 'cluster', 'netsim/v1')],
  // read where time passes (scenario/read-scenario.ts), kept elsewhere
  ['Scenario', entry('read', 'cluster', 'netsim/v1')],
  ['NetworkPolicy', entry('read', 'namespaced', 'networking.k8s.io/v1', 'extensions/v1beta1')],
  ['ClusterNetworkPolicy', entry('read', 'cluster', 'policy.networking.k8s.io/v1alpha2')],
  ['AdminNetworkPolicy', entry('read', 'cluster', 'policy.networking.k8s.io/v1alpha1')],
  ['BaselineAdminNetworkPolicy', entry('read', 'cluster', 'policy.networking.k8s.io/v1alpha1')],
  ['DaemonSet', entry('read', 'namespaced', 'apps/v1', 'apps/v1beta2', 'extensions/v1beta1')],
  ['Deployment', entry('read', 'namespaced', 'apps/v1', 'apps/v1beta2', 'apps/v1beta1', 'extensions/v1beta1')],
  ['ReplicaSet', entry('read', 'namespaced', 'apps/v1', 'apps/v1beta2', 'extensions/v1beta1')],
  ['StatefulSet', entry('read', 'namespaced', 'apps/v1', 'apps/v1beta2', 'apps/v1beta1')],
  ['PetSet', entry('read', 'namespaced', 'apps/v1alpha1')],
  ['ReplicationController', entry('read', 'namespaced', 'v1')],
  ['Job', entry('read', 'namespaced', 'batch/v1', 'batch/v2alpha1', 'extensions/v1beta1')],
  ['CronJob', entry('read', 'namespaced', 'batch/v1', 'batch/v1beta1', 'batch/v2alpha1')],
  ['ScheduledJob', entry('read', 'namespaced', 'batch/v2alpha1')],
  ['Service', entry('read', 'namespaced', 'v1')],
  ['Endpoints', entry('read', 'namespaced', 'v1')],
  ['ServiceCIDR', entry('read', 'cluster', 'networking.k8s.io/v1', 'networking.k8s.io/v1beta1', 'networking.k8s.io/v1alpha1')],
  ['EndpointSlice', entry('read', 'namespaced', 'discovery.k8s.io/v1', 'discovery.k8s.io/v1beta1')],
  ['Ingress', entry('read', 'namespaced', 'networking.k8s.io/v1', 'networking.k8s.io/v1beta1', 'extensions/v1beta1')],
  ['IngressClass', entry('read', 'cluster', 'networking.k8s.io/v1', 'networking.k8s.io/v1beta1')],
  ['Route', entry('policies', 'namespaced', 'route.openshift.io/v1')],
  ['VirtualMachine', entry('policies', 'namespaced', 'kubevirt.io/v1', 'kubevirt.io/v1alpha3')],
  ['VirtualMachineInstance', entry('policies', 'namespaced', 'kubevirt.io/v1', 'kubevirt.io/v1alpha3')],
  // read by Calico's agents: passwords of BGP sessions, and labels that policies select by
  ['Secret', entry('read', 'namespaced', 'v1')],
  ['ServiceAccount', entry('read', 'namespaced', 'v1')],
  ...[
    'PersistentVolumeClaim',
    'Role',
    'RoleBinding',
    'Event',
    'LimitRange',
    'ResourceQuota',
    'PodDisruptionBudget',
    'HorizontalPodAutoscaler',
    'Lease',
    'ControllerRevision',
    'PodTemplate',
  ].map((kind): [string, KindInfo] => [kind, entry('none', 'namespaced')]),
  ...[
    'PersistentVolume',
    'ClusterRole',
    'ClusterRoleBinding',
    'CustomResourceDefinition',
    'StorageClass',
    'PriorityClass',
    'RuntimeClass',
    'APIService',
    'ComponentStatus',
    'PodSecurityPolicy',
    'CSIDriver',
    'CSINode',
    'VolumeAttachment',
    'MutatingWebhookConfiguration',
    'ValidatingWebhookConfiguration',
    'CertificateSigningRequest',
    'FlowSchema',
    'PriorityLevelConfiguration',
  ].map((kind): [string, KindInfo] => [kind, entry('none', 'cluster')]),
])

export const CALICO_GROUPS: readonly string[] = ['crd.projectcalico.org', 'projectcalico.org', 'operator.tigera.io']
const CALICO_NAMESPACED: readonly string[] = ['NetworkPolicy', 'StagedNetworkPolicy', 'StagedKubernetesNetworkPolicy', 'NetworkSet', 'WorkloadEndpoint']

export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}

/** undefined for a kind that netsim has not heard of. */
export function kindInfo(apiVersion: string, kind: string): KindInfo | undefined {
  if (CALICO_GROUPS.includes(groupOf(apiVersion))) return entry('calico', CALICO_NAMESPACED.includes(kind) ? 'namespaced' : 'cluster')
  if (isClassicKind(apiVersion, kind)) return entry('calico', 'cluster')
  if (kind === 'Network' && groupOf(apiVersion) !== 'netsim') return undefined
  const known = KINDS.get(kind)
  // others have kinds of these names too
  return known?.role === 'policies' && known.apiVersions?.includes(apiVersion) === false ? undefined : known
}

/** The kinds of the core group that netsim reads, for spelling suggestions. */
export function coreKinds(): string[] {
  return [...KINDS].filter(([, info]) => info.apiVersions?.includes('v1') === true).map(([kind]) => kind)
}
