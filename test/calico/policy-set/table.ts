/**
 * What the policies of this folder mean, worked out by reading them, before anything was run. Of four packets the stations on the way (not the
 * verdict) were amended afterwards, against felix/rules/endpoints.go: n3's card polices what it forwards, and failsafe stands in three tables.
 *
 * One line a packet: from, to, what, who decides (the source's egress, host endpoints on the way, the destination's ingress; of a denied packet the
 * one who denies), and why. Tiers in order: security (100), platform (200, passes), tenancy (300), kube-admin (1,000, passes), default
 * (1,000,000), kube-baseline (10,000,000, passes), then profiles. `kns.NS` is the profile of a namespace, which allows everything; `end of TIER`:
 * policies of the tier apply and none decides.
 */

export interface Row {
  readonly from: string
  readonly to: string
  /** `tcp 80`, `icmp`. */
  readonly what: string
  readonly allowed: boolean
  readonly deciders: readonly string[]
  readonly why: string
}

const NP = 'NetworkPolicy/'
const GNP = 'GlobalNetworkPolicy/'
const CNP = 'ClusterNetworkPolicy/'
const kns = (namespace: string): string => `Profile/kns.${namespace} egress rule 1`
const knsIn = (namespace: string): string => `Profile/kns.${namespace} ingress rule 1`
const WEB_CART = `${NP}shop/web-egress egress rule 1`
const WEB_MAIL = `${NP}shop/web-egress egress rule 2`
const DNS_UDP = `${GNP}platform.dns egress rule 1`
const DNS_TCP = `${GNP}platform.dns egress rule 2`
const FORWARDED = `${GNP}edge-forward ingress rule 2`
const END = 'end of default'

type Words = [from: string, to: string, what: string]
const ok = (...[from, to, what, deciders, why]: [...Words, readonly string[], string]): Row => ({ from, to, what, allowed: true, deciders, why })
const no = (...[from, to, what, denier, why]: [...Words, string, string]): Row => ({ from, to, what, allowed: false, deciders: [denier], why })

/** Outside: the gateway's two far sides, and mallory. */
const INTERNET = '203.0.113.254'
const PARTNER = '198.51.100.1'
const MALLORY = '203.0.113.66'

export const TABLE: readonly Row[] = [
  // from web, whose egress is cart's 8080 and the Service mail
  ok('shop/web', 'shop/cart', 'tcp 8080', [WEB_CART, `${NP}shop/cart ingress rule 1`], 'its egress names cart, cart names web'),
  no('shop/web', 'shop/cart', 'tcp 9100', END, 'another port than web may use'),
  no('shop/web', 'shop/cart', 'udp 8080', END, 'the rule is of TCP'),
  ok(
    'shop/web',
    'shop/mail',
    'tcp 25',
    [WEB_MAIL, FORWARDED, `${NP}shop/mail ingress rule 2`],
    'the Service mail has that address and port; no-smtp is for outside the pods',
  ),
  no('shop/web', 'shop/mail', 'tcp 587', END, 'not a port of the Service'),
  ok('shop/web', 'platform/dns', 'udp 53', [DNS_UDP, `${GNP}platform.dns-server ingress rule 1`], 'the platform decides before the default tier'),
  ok('shop/web', 'platform/dns', 'tcp 53', [DNS_TCP, `${GNP}platform.dns-server ingress rule 2`], 'and over TCP'),
  no('shop/web', 'platform/dns', 'icmp', END, "web's egress has no ICMP"),
  no('shop/web', INTERNET, 'tcp 443', END, 'nor the outside'),
  no('shop/web', 'shop/pay', 'tcp 8443', END, 'nor pay'),
  // from cart, whose egress nobody restricts but the platform
  ok('shop/cart', 'shop/pay', 'tcp 8443', [kns('shop'), `${NP}shop/pay ingress rule 1`], 'pci lets cart pass, the port is named api'),
  no('shop/cart', 'shop/pay', 'tcp 8444', END, 'api is 8443'),
  no('shop/cart', 'shop/pay', 'tcp 22', `${GNP}security.pci ingress rule 2`, 'no logins on what PCI covers'),
  no('shop/cart', 'shop/pay', 'tcp 3390', `${GNP}security.pci ingress rule 2`, 'the end of the range is in it'),
  no('shop/cart', 'shop/pay', 'tcp 23', `${GNP}security.pci ingress rule 2`, 'pci (20) stands before telnet (30)'),
  no('shop/cart', 'shop/web', 'tcp 23', `${GNP}security.telnet ingress rule 1`, 'telnet is nowhere allowed'),
  ok('shop/cart', 'shop/web', 'tcp 8080', [kns('shop'), `${NP}shop/web ingress rule 1`], 'http is for everybody'),
  ok('shop/cart', 'shop/db', 'tcp 5432', [kns('shop'), `${CNP}admin-db ingress rule 1`], 'the administrators decide before the default tier; pg is 5432 there'),
  no('shop/cart', 'shop/db', 'udp 5432', END, 'pg is a port of TCP'),
  ok(
    'shop/cart',
    'shop/mail',
    'tcp 25',
    [kns('shop'), FORWARDED, `${NP}shop/mail ingress rule 1`],
    "inside the pods no-smtp does not apply; n3's card is on the way",
  ),
  no('shop/cart', INTERNET, 'tcp 25', `${GNP}platform.no-smtp egress rule 1`, 'mail goes out by mail alone'),
  ok('shop/cart', INTERNET, 'tcp 443', [kns('shop')], 'no policy of the default tier selects its egress'),
  no('shop/cart', 'lab/free', 'tcp 80', `${CNP}admin-lab ingress rule 1`, 'no-shop: the shop stays out of the lab'),
  no('shop/cart', 'node/n2', 'tcp 10250', `${GNP}store-hosts ingress rule 1`, "another node's kubelet: n2's interfaces are all an endpoint"),
  ok('shop/cart', 'node/n2', 'tcp 8081', [kns('shop'), `${GNP}store-hosts ingress rule 2`], 'other ports of n2 are open'),
  // from pay, which has a Kubernetes policy for its egress
  ok('shop/pay', 'shop/db', 'tcp 5432', [`${NP}shop/pay egress rule 1`, `${NP}shop/db ingress rule 1`], 'admin-db is for cart; pci knows pay'),
  ok('shop/pay', PARTNER, 'tcp 443', [`${NP}shop/pay egress rule 2`], "the block of the partner's bank"),
  no('shop/pay', '198.51.100.200', 'tcp 443', END, 'the upper half is excepted'),
  no('shop/pay', PARTNER, 'tcp 80', END, 'not over plain HTTP'),
  no('shop/pay', 'shop/cart', 'tcp 8080', END, 'pay calls nobody back'),
  no('shop/pay', '169.254.169.254', 'tcp 80', `${GNP}platform.metadata egress rule 1`, "the cloud's secrets are no pod's"),
  // from mail
  ok('shop/mail', PARTNER, 'tcp 25', [`${NP}shop/mail-out egress rule 1`], 'the NetworkSet of its own namespace; no-smtp is for everybody else'),
  no('shop/mail', INTERNET, 'tcp 25', END, 'only the partner is named'),
  no('shop/mail', PARTNER, 'tcp 587', END, 'another port'),
  ok('shop/mail', 'platform/dns', 'udp 53', [DNS_UDP, `${GNP}platform.dns-server ingress rule 1`], 'names must be found'),
  no('shop/mail', 'shop/pay', 'tcp 8443', END, 'its egress ends with the partner'),
  // from db, whose egress is free
  ok('shop/db', 'node/n2', 'tcp 10250', [kns('shop')], "its own host: DefaultEndpointToHostAction, and no host endpoint's policy"),
  no('shop/db', 'node/n2', 'tcp 25', `${GNP}platform.no-smtp egress rule 1`, 'a node is no pod'),
  // tenants
  no('tenant-a/store', 'shop/pay', 'tcp 8443', `${GNP}security.pci ingress rule 1`, 'passed by its own tier, and no friend of pci'),
  ok(
    'tenant-a/store',
    'shop/cart',
    'tcp 8080',
    [kns('tenant-a'), `${NP}shop/cart ingress rule 2`],
    'rule 2 passes on to the shop, which lets stores of tenants in',
  ),
  ok('tenant-a/store', 'shop/cart', 'tcp 8081', [kns('tenant-a'), `${NP}shop/cart ingress rule 2`], 'the range ends with 8081'),
  no('tenant-a/store', 'shop/cart', 'tcp 8082', END, 'and not with 8082'),
  no('tenant-a/jobs', 'shop/cart', 'tcp 8080', END, 'jobs is no store'),
  no('tenant-a/store', 'tenant-b/store', 'tcp 9090', 'end of tenancy', 'tenants do not meet'),
  ok('tenant-a/store', 'tenant-a/jobs', 'tcp 7000', [`${GNP}tenancy.a egress rule 1`, `${GNP}tenancy.a ingress rule 1`], 'one tenant, anything goes'),
  ok(
    'tenant-a/jobs',
    'tenant-a/store',
    'icmp',
    [`${GNP}tenancy.a egress rule 1`, `${GNP}tenancy.a ingress rule 1`],
    'an echo is type 8: security.icmp rule 2 is for the others',
  ),
  no('tenant-a/store', 'lab/free', 'tcp 80', 'end of tenancy', 'the lab is none of the places it may go'),
  ok('tenant-a/store', INTERNET, 'tcp 443', [kns('tenant-a')], 'tenant a may go out'),
  no('tenant-b/store', INTERNET, 'tcp 443', 'end of tenancy', 'tenant b may not'),
  ok('tenant-a/store', 'platform/dns', 'udp 53', [DNS_UDP, `${GNP}platform.dns-server ingress rule 1`], 'platform comes before tenancy'),
  ok('tenant-b/store', 'platform/dns', 'tcp 53', [DNS_TCP, `${GNP}platform.dns-server ingress rule 2`], 'for b too'),
  ok('tenant-b/jobs', 'shop/web', 'tcp 8080', [kns('tenant-b'), `${NP}shop/web ingress rule 1`], 'passed on to the shop, whose web is open'),
  no('tenant-b/jobs', 'shop/cart', 'tcp 8080', END, 'cart is for stores'),
  no('tenant-b/jobs', 'tenant-a/jobs', 'icmp', 'end of tenancy', 'not even a ping'),
  // from the ingress controller; its named port is what each pod calls so
  ok(
    'platform/ingress',
    'tenant-a/store',
    'tcp 8080',
    [`${NP}platform/ingress egress rule 1`, `${NP}tenant-a/tenancy.store ingress rule 1`],
    'http of this pod is 8080',
  ),
  ok(
    'platform/ingress',
    'tenant-b/store',
    'tcp 9090',
    [`${NP}platform/ingress egress rule 1`, `${NP}tenant-b/tenancy.store ingress rule 1`],
    'of that one 9090',
  ),
  no('platform/ingress', 'tenant-b/store', 'tcp 8080', END, 'and not 8080'),
  no('platform/ingress', 'tenant-a/store', 'tcp 9090', END, 'nor the other way round'),
  no('platform/ingress', 'tenant-a/jobs', 'tcp 8080', END, 'jobs is no store'),
  ok('platform/ingress', 'shop/web', 'tcp 8080', [`${NP}platform/ingress egress rule 2`, `${NP}shop/web ingress rule 1`], 'above the low ports'),
  no('platform/ingress', 'shop/web', 'tcp 80', END, '80 is among notPorts'),
  no('platform/ingress', 'shop/web', 'tcp 9999', END, 'allowed to go, not to come'),
  // from outside to pods of the edge node, past its card's policies
  ok(INTERNET, 'platform/ingress', 'tcp 443', [FORWARDED, `${NP}platform/ingress ingress rule 1`], 'what it is for'),
  no(MALLORY, 'platform/ingress', 'tcp 443', `${GNP}security.blocklist ingress rule 1`, 'known to be bad; the bare address is a /32'),
  no(INTERNET, 'platform/ingress', 'tcp 8080', `${NP}platform/ingress ingress rule 2`, 'denied by its own rule, notPorts'),
  no(INTERNET, 'platform/ingress', 'tcp 9200', `${GNP}edge-forward ingress rule 1`, 'the card denies it first'),
  no(INTERNET, 'platform/ingress', 'icmp', END, 'its policy has TCP alone'),
  ok(INTERNET, 'lab/free', 'tcp 80', [FORWARDED, knsIn('lab')], 'baseline-lab is about namespaces, and the internet has none'),
  no(INTERNET, 'shop/mail', 'icmp', END, 'default-deny'),
  // to the hosts
  ok(PARTNER, 'node/n3', 'tcp 2222', [`${GNP}edge-ssh ingress rule 1`], 'for the partner'),
  no(INTERNET, 'node/n3', 'tcp 2222', END, 'for nobody else; the profile is not asked where policies apply'),
  ok(INTERNET, 'node/n3', 'tcp 443', [`${GNP}edge-ssh ingress rule 2`], 'for all'),
  ok(INTERNET, 'node/n3', 'tcp 22', ['failsafe', 'failsafe', 'failsafe'], 'a failsafe port: of raw (untracked), mangle (preDNAT) and filter'),
  no(INTERNET, 'node/n3', 'tcp 30080', `${GNP}edge-nodeports ingress rule 1`, 'before DNAT'),
  no(PARTNER, 'node/n3', 'tcp 30080', END, 'past preDNAT, and then nobody allows it'),
  ok(INTERNET, 'node/n3', 'udp 4500', [`${GNP}edge-untracked ingress rule 1`], 'untracked, in the table raw'),
  no(INTERNET, 'node/n3', 'udp 4501', END, 'one off'),
  no(INTERNET, 'node/n3', 'tcp 9200', `${GNP}edge-forward ingress rule 1`, 'applyOnForward policies are for the host itself too'),
  no(INTERNET, 'node/n3', 'icmp', END, "the profile's ICMP does not count"),
  no(INTERNET, 'node/n2', 'tcp 10250', `${GNP}store-hosts ingress rule 1`, "n2's kubelet"),
  ok(INTERNET, 'node/n2', 'tcp 8081', [`${GNP}store-hosts ingress rule 2`], 'rule 2'),
  ok(INTERNET, 'node/n1', 'tcp 10250', [], 'n1 has no host endpoint'),
  // from the hosts
  ok('node/n3', INTERNET, 'tcp 8000', ['Profile/edge-host egress rule 1'], 'no normal policy of its egress, so the profile'),
  ok('node/n1', 'shop/cart', 'tcp 9999', [], 'a host and its own pod'),
  no('node/n1', 'shop/pay', 'tcp 8443', `${GNP}security.pci ingress rule 1`, "another host's pod: a node is no friend of pci"),
  no('node/n3', 'shop/cart', 'tcp 8080', END, "the card's profile lets it go, cart does not let it in"),
  // from operations
  ok('ops/prom', 'shop/cart', 'tcp 9100', [`${GNP}prometheus egress rule 1`, `${GNP}platform.scrape ingress rule 1`], 'metrics is 9100 there'),
  ok(
    'ops/prom',
    'shop/db',
    'tcp 9187',
    [`${GNP}prometheus egress rule 1`, `${GNP}platform.scrape ingress rule 1`],
    'the number beside the name; pci knows prom',
  ),
  no('ops/prom', 'shop/db', 'tcp 9100', END, 'db has no port called metrics'),
  no('ops/prom', 'shop/db', 'tcp 22', END, 'not what prom may ask'),
  ok('ops/prom', 'shop/cart', 'icmp', [`${GNP}prometheus egress rule 2`, `${GNP}security.icmp ingress rule 1`], 'ops may ping'),
  ok('ops/prom', 'tenant-a/store', 'icmp', [`${GNP}prometheus egress rule 2`, `${GNP}security.icmp ingress rule 1`], 'security decides before tenancy'),
  ok('ops/bastion', 'shop/cart', 'tcp 22', [kns('ops'), `${GNP}platform.bastion ingress rule 1`], 'by its service account'),
  no('ops/prom', 'shop/web', 'tcp 22', END, 'prom runs as another account, and its egress has no 22'),
  no('ops/bastion', 'shop/db', 'tcp 22', `${GNP}security.pci ingress rule 1`, 'pci before platform, and rule 1 before rule 2'),
  no('ops/bastion', 'platform/dns', 'tcp 22', `${GNP}platform.dns-server ingress rule 3`, 'dns-server (20) before bastion (40)'),
  no('ops/bastion', 'tenant-a/store', 'tcp 22', 'end of tenancy', "bastion's policy is for shop and platform"),
  ok(
    'ops/bastion',
    'lab/free',
    'tcp 22',
    [kns('ops'), 'failsafe', 'failsafe', FORWARDED, `${CNP}admin-lab ingress rule 2`],
    "named ssh; in n3's raw and mangle 22 is a failsafe port for whatever comes in",
  ),
  no('ops/bastion', 'lab/free', 'tcp 80', `${CNP}baseline-lab ingress rule 2`, 'no policy in the default tier, so the baseline'),
  ok(
    PARTNER,
    'ops/bastion',
    'tcp 22',
    [`${NP}ops/bastion ingress rule 1`],
    "selected by a label of its service account; n2's endpoint has nothing on forwarded packets",
  ),
  no(INTERNET, 'ops/bastion', 'tcp 22', END, 'not the partner'),
  // the lab
  no('lab/bad', 'lab/free', 'tcp 80', `${GNP}security.quarantine egress rule 2`, 'in quarantine'),
  ok('lab/bad', 'platform/dns', 'udp 53', [`${GNP}security.quarantine egress rule 1`, `${GNP}platform.dns-server ingress rule 1`], 'but for names'),
  no('lab/bad', 'platform/dns', 'tcp 53', `${GNP}security.quarantine egress rule 2`, 'over UDP alone'),
  no('lab/free', 'lab/bad', 'tcp 80', `${GNP}security.quarantine ingress rule 2`, 'logged, then denied'),
  no('lab/free', PARTNER, 'tcp 443', `${CNP}admin-lab egress rule 1`, 'no-partner'),
  ok('lab/free', INTERNET, 'tcp 443', [kns('lab')], 'elsewhere it may go'),
  no('lab/free', '192.0.2.9', 'tcp 80', `${GNP}security.blocklist egress rule 1`, 'in the set: 192.0.2.77/24 is its whole network'),
  no('lab/free', 'shop/mail', 'tcp 25', END, 'mail is for cart and web'),
  no('lab/free', 'shop/db', 'tcp 5432', `${GNP}security.pci ingress rule 1`, 'pci before admin-db'),
  ok('node/n1', 'lab/bad', 'tcp 23', [], 'a host and its own pod, quarantine or not'),
]
