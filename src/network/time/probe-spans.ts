/** The spans of one probe while they grow. */
import type { ProbeCause, ProbeHistory, ProbeSpan } from './probe-history.js'
import { spanKey, type Answered } from './probe-question.js'
import { isLost } from './probe-result.js'

export class SpanList {
  private readonly spans: ProbeSpan[] = []
  private key = ''

  /** A packet that was walked. @param cause where it fared otherwise than the one before */
  add(answered: Answered, atNs: number, cause: ProbeCause | undefined): void {
    const lost = isLost(answered.result) ? 1 : 0
    const key = spanKey(answered)
    if (this.spans.length > 0 && key === this.key) {
      this.extend(atNs, 1, lost)
      return
    }
    this.key = key
    this.spans.push({ ...answered.told, class: answered.class, fromNs: atNs, toNs: atNs, packets: 1, lost, ...(cause === undefined ? {} : { cause }) })
  }

  extend(lastNs: number, packets: number, lost: number): void {
    const span = this.spans[this.spans.length - 1]
    this.spans[this.spans.length - 1] = { ...span, toNs: lastNs, packets: span.packets + packets, lost: span.lost + lost }
  }

  result(): Pick<ProbeHistory, 'spans' | 'packets' | 'lost'> {
    const sum = (of: (span: ProbeSpan) => number): number => this.spans.reduce((total, span) => total + of(span), 0)
    return { spans: this.spans, packets: sum(({ packets }) => packets), lost: sum(({ lost }) => lost) }
  }
}
