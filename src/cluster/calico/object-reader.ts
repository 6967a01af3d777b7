/** What readers of every generation of Calico's resources share: an object, where its faults go, addresses and AS numbers. */
import { isIpv6Text, parseIp, type Ip } from '../../base/ip.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'

/** An object being read, and where its faults go. */
export class ObjectReader {
  readonly object: KubernetesObject
  protected readonly problems: ProblemList

  constructor(object: KubernetesObject, problems: ProblemList) {
    this.object = object
    this.problems = problems
  }

  error(path: Path, what: string, fix: string): void {
    this.problems.error(this.object.at(...path), this.object.label, what, fix)
  }

  warning(path: Path, what: string, fix: string): void {
    this.problems.warning(this.object.at(...path), this.object.label, what, fix)
  }

  /** undefined for nothing, for IPv6, and for what is wrong (reported). */
  address(value: string | null | undefined, path: Path): Ip | undefined {
    if (value === undefined || value === null || value === '' || isIpv6Text(value)) return undefined
    const address = parseIp(value)
    const field = path.findLast((part) => typeof part === 'string') ?? ''
    if (address === undefined) this.error(path, `${field} ${JSON.stringify(value)} is no IPv4 address`, 'Write it like 192.168.0.100.')
    return address
  }

  /** `64512` or `1.10`, up to 2^32 - 1. */
  asNumber(value: number | string | null | undefined, path: Path): number | undefined {
    if (value === undefined || value === null) return undefined
    const number = parseAsNumber(value)
    if (number === undefined) this.error(path, `${JSON.stringify(value)} is no AS number`, 'Write it like 64512.')
    return number
  }
}

export function parseAsNumber(value: number | string): number | undefined {
  const dotted = /^(\d{1,5})\.(\d{1,5})$/.exec(String(value))
  if (dotted !== null && typeof value === 'string') {
    const [high, low] = [Number(dotted[1]), Number(dotted[2])]
    return high <= 0xffff && low <= 0xffff ? high * 0x10000 + low : undefined
  }
  const number = /^\d{1,10}$/.test(String(value)) ? Number(value) : Number.NaN
  return number >= 0 && number <= 0xffffffff ? number : undefined
}
