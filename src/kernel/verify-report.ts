/**
 * The versioned JSON of a verification: what `netsim verify -o json` prints, what its text and its JUnit file are made of.
 * docs/verification.schema.json describes it.
 */
import type { Disposition } from '../net/disposition.js'
import type { DifferenceKind, FieldDifference } from './compare.js'
import type { ControlCounts, ControlDocument } from './control-report.js'

/** `equal`: everything asked was the same. `differs`: something was not. `incomplete`: nothing differed, and parts could not be built or asked here. */
export type Verdict = 'equal' | 'differs' | 'incomplete'

export interface VerificationDocument {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Verification'
  readonly verdict: Verdict
  readonly metadata: {
    readonly tool: string
    /** `Linux 6.18.44`. */
    readonly kernel: string
    /** `root` or `user namespace`. */
    readonly privilege: string
    /** nft, legacy, or empty: whatever the machine calls iptables-restore. */
    readonly iptables: string
    readonly inputs: readonly string[]
    readonly seed: number
    readonly cni: string
    readonly backend: string
  }
  readonly summary: SummaryDocument
  /** Devices that this kernel could not make. */
  readonly notBuilt: readonly NotBuiltDocument[]
  /** What a command that built the network said although it went on. */
  readonly complaints: readonly string[]
  readonly probes: readonly ProbeDocument[]
  /** Real control planes that ran beside it (`--with`). */
  readonly control: readonly ControlDocument[]
}

export interface SummaryDocument extends ControlCounts {
  readonly probes: number
  readonly equal: number
  readonly differ: number
  readonly leftOut: number
  /** Frames predicted, of all probes that were asked. */
  readonly frames: number
  readonly framesEqual: number
  /** Frames of neighbour upkeep that were left out. */
  readonly upkeep: number
  /** Losses predicted, where the kernel's reasons could be read, and how many it named. */
  readonly drops: number
  readonly dropsEqual: number
  /** Rules taken as predicted, of those where it could be read. */
  readonly rules: number
  readonly rulesEqual: number
}

interface NotBuiltDocument {
  readonly netns: string
  readonly device: string
  readonly kind: string
  readonly why: string
}

export interface ProbeDocument {
  readonly name: string
  readonly source: string
  readonly destination: string
  readonly proto: string
  readonly verdict: 'equal' | 'differs' | 'left-out'
  /** Why it was left out; empty otherwise. */
  readonly why: string
  /** Predicted. */
  readonly disposition: Disposition
  readonly frames: { readonly predicted: number; readonly captured: number; readonly equal: number; readonly upkeep: number }
  /** What the kernel told the sender when nothing left: `Message too long`. */
  readonly error: string
  readonly differences: readonly DifferenceDocument[]
  readonly drops: DropsDocument
  readonly rules: RulesDocument
  /** null: nothing is left to chance. */
  readonly outcomes: OutcomesDocument | null
}

/** A kernel draws one of several outcomes. */
export interface OutcomesDocument {
  readonly count: number
  /** The one that is told here, from 1: what the kernel did, or of those that differ the nearest. */
  readonly shown: number
  /** Of that one. */
  readonly probability: number
  /** What all that were predicted make up together; less than 1: there are others, too many to follow. */
  readonly followed: number
}

export interface DifferenceDocument {
  readonly kind: DifferenceKind
  readonly netns: string
  readonly device: string
  readonly direction: 'rx' | 'tx'
  /** `ip.ttl 62 ≠ 63`: predicted first. */
  readonly what: string
  readonly fields: readonly FieldDifference[]
  /** The step of `netsim trace` that the predicted frame belongs to; of a frame too many, the last one before it. 0: none. */
  readonly step: number
  readonly stepText: string
  readonly predicted: FrameWords | null
  readonly captured: FrameWords | null
}

export interface FrameWords {
  readonly hex: string
  readonly words: string
}

export interface DropsDocument {
  /** null: the kernel's reasons could not be read, `why` says why. */
  readonly equal: boolean | null
  readonly why: string
  /** How many of the predicted the kernel named; those that a timer says may be missing. */
  readonly named: number
  readonly predicted: readonly { readonly netns: string; readonly disposition: Disposition; readonly reason: string; readonly step: number }[]
  readonly kernel: readonly { readonly reason: string; readonly location: string; readonly certain: boolean }[]
}

export interface RulesDocument {
  readonly equal: boolean | null
  readonly why: string
  readonly predicted: readonly RuleWords[]
  readonly kernel: readonly RuleWords[]
  /** The first place where they part, in words; empty when they do not. */
  readonly what: string
}

export interface RuleWords {
  readonly netns: string
  readonly table: string
  readonly chain: string
  /** As iptables-save prints it after `-A CHAIN`. */
  readonly text: string
}
