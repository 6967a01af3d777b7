/**
 * One node as the script of `netsim collect` found it: its Dataplane, those of its pods, and the files that say what it was told. Everything that came
 * from a line of the dump carries that line: its provenance is {by: 'dump', file, line}.
 */
import type { Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import type { IptablesState } from '../dataplane/iptables.js'

/** `by` of the provenance of whatever was read from a dump. */
export const DUMP = 'dump'

/** One file of the folder that the script wrote; `file` as a Problem names it, `path` within the folder with slashes. */
export interface CollectedFile {
  readonly file: string
  readonly path: string
  readonly text: string
  /** Its length; absent: as the text has it, and not to be checked. */
  readonly bytes?: number
}

/** Where something stands in a dump; `line` 0: the whole file. */
export interface DumpPlace {
  readonly file: string
  readonly line: number
}

/** A line, a device or a module that netsim cannot make use of; the rest is answered all the same. */
export interface NotUnderstood extends DumpPlace {
  readonly what: string
  /** What to do about it, and what becomes of answers until then. */
  readonly fix?: string
}

/** A file of a name that no reader knows. */
export interface UnreadFile {
  readonly file: string
  readonly path: string
  /** In how many more folders of pods it stands. */
  readonly more: number
  /** What it seems to be, by a name or a first line that is well known; absent: nobody knows. */
  readonly instead?: string
}

/** A network namespace of the node that is not its own. */
export interface CollectedPod {
  /** `namespace/name` where the container runtime said so, else the name of the namespace under /run/netns, else `netns-INODE`: the name of its Dataplane. */
  readonly name: string
  /** The runtime told which pod it is. */
  readonly known: boolean
  /** Of the sandbox; absent where no runtime was asked. */
  readonly containerId?: string
  /** The node's end of the pod's veth. */
  readonly veth?: string
  /** Absent where the namespace could not be entered. */
  readonly dataplane?: Dataplane
  readonly place: DumpPlace
}

/** `KEY=VALUE` lines of /run/flannel/subnet.env. */
export interface CollectedSubnetEnv {
  readonly file: string
  readonly text: string
  readonly network?: Cidr
  readonly subnet?: { readonly address: Ip; readonly length: number }
  readonly mtu?: number
  readonly ipMasq?: boolean
}

/** One file of /etc/cni/net.d; of its keys only those that say nothing secret are in a dump. */
export interface CollectedCni {
  readonly file: string
  /** JSON, as the script let it through. */
  readonly text: string
  /** Of the list; absent where the text is no JSON. */
  readonly name?: string
  /** `type` of each plugin in order. */
  readonly plugins: readonly string[]
}

/** One end of a connection, as conntrack has it: source, destination, and ports or the id of an echo. */
export interface CollectedTuple {
  readonly source: Ip
  readonly destination: Ip
  readonly sourcePort?: number
  readonly destinationPort?: number
}

/** A line of `conntrack -L` or /proc/net/nf_conntrack. */
export interface CollectedConnection extends DumpPlace {
  /** IP protocol number. */
  readonly proto: number
  /** TCP's, as conntrack names it. */
  readonly state?: string
  readonly original: CollectedTuple
  readonly reply: CollectedTuple
  /** `[UNREPLIED]`, `[ASSURED]`, … without brackets. */
  readonly flags: readonly string[]
  readonly mark?: number
  readonly zone?: number
}

/** What one of the two kernel interfaces holds: both may hold rules, and then both act on packets. */
export interface CollectedBackend {
  readonly backend: 'legacy' | 'nft'
  readonly file: string
  readonly state: IptablesState
  /** Rules, built-in policies aside. */
  readonly rules: number
  /** The first line that tells of rules that were not read. */
  readonly lost?: NotUnderstood
}

export interface CollectedNode {
  /** The Node's, or else the host's. */
  readonly name: string
  readonly hostname?: string
  /** DIR or the tarball, as the user named it. */
  readonly source: string
  /** The format that the script wrote. */
  readonly format: number
  /** `uname -r`; absent where it was not gathered. */
  readonly kernel?: string
  /** By tool, what it says of its version; absent tools are not in it. */
  readonly tools: ReadonlyMap<string, string>
  /** What the script wanted to gather and could not, in its words; and files that are not there, or cannot be what the kernel had. */
  readonly missing: readonly NotUnderstood[]
  /** netns is the name. Of two iptables backends with rules: that of the one named by `iptables` comes first, then the other's in the same tables. */
  readonly dataplane: Dataplane
  readonly pods: readonly CollectedPod[]
  readonly subnetEnv?: CollectedSubnetEnv
  readonly cni: readonly CollectedCni[]
  /** Absent where it was not asked for. */
  readonly conntrack?: readonly CollectedConnection[]
  readonly iptablesBackends: readonly CollectedBackend[]
  readonly notUnderstood: readonly NotUnderstood[]
  /** Files of the folder that nothing is read from: their names mean nothing here. */
  readonly unread: readonly UnreadFile[]
  readonly problems: readonly Problem[]
}

/** What `readCollected` (read-collected.ts) gives: no node where the files are no dump. */
export interface CollectedReading {
  readonly node?: CollectedNode
  readonly problems: readonly Problem[]
}
