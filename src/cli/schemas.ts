/**
 * The documents that netsim reads and prints, and their JSON Schemas (draft 2020-12). A new kind is one entry here; its file in
 * docs/ is published as it is, and bundled into the command.
 */
export interface DocumentKind {
  readonly kind: string
  /** For the list: who reads or prints it. */
  readonly about: string
  readonly load: () => Promise<{ readonly default: object }>
}

export const DOCUMENT_KINDS: readonly DocumentKind[] = [
  {
    kind: 'Network',
    about: 'the document beside your manifests that says what no Kubernetes object says',
    load: () => import('../../docs/network.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Scenario',
    about: 'what happens to a cluster at virtual times: what netsim run reads',
    load: () => import('../../docs/scenario.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Trace',
    about: 'what netsim trace -o json prints',
    load: () => import('../../docs/trace.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'MtuReport',
    about: 'what netsim trace --mtu -o json prints',
    load: () => import('../../docs/mtu.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Findings',
    about: 'what netsim check -o json prints',
    load: () => import('../../docs/findings.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Drift',
    about: 'what netsim drift -o json prints',
    load: () => import('../../docs/drift.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'PolicyFindings',
    about: 'what netsim policy lint -o json prints',
    load: () => import('../../docs/policy-findings.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'PolicyExplanation',
    about: 'what netsim policy explain -o json prints',
    load: () => import('../../docs/policy-explanation.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'PolicyTest',
    about: 'what netsim policy test -o json prints',
    load: () => import('../../docs/policy-test.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Flows',
    about: 'what netsim flows -o json prints',
    load: () => import('../../docs/flows.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'OverlayCost',
    about: 'what netsim bench encap -o json prints',
    load: () => import('../../docs/overlay.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'ScenarioReport',
    about: 'what netsim run -o json prints',
    load: () => import('../../docs/scenario-report.schema.json', { with: { type: 'json' } }),
  },
  {
    kind: 'Verification',
    about: 'what netsim verify -o json prints',
    load: () => import('../../docs/verification.schema.json', { with: { type: 'json' } }),
  },
]
