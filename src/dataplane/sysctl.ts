/**
 * sysctls as `sysctl -a` prints them (`net.ipv4.ip_forward = 1`) ⇄ the record of a Dataplane, and the kernel's defaults.
 * Values are numbers; a vector (`ip_local_port_range = 32768	60999`) is one key per element: `net.ipv4.ip_local_port_range[0]`.
 */
import type { Problem } from '../base/problem.js'
import { SYSCTL_DEFAULTS } from './sysctl-defaults.js'
import { linesOf, Report, type Place } from './text.js'

type Sysctls = Readonly<Record<string, number>>

/** `net/ipv4/conf/eth0.100/forwarding` and `/proc/sys/…` → `net.ipv4.conf.eth0/100.forwarding`: the first separator decides, as in sysctl(8). */
export function normaliseSysctl(key: string): string {
  const name = key
    .trim()
    .replace(/^-/, '')
    .replace(/^\/proc\/sys\//, '')
  return /^[^./]*\//.test(name) ? name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/')) : name
}

const DEFAULTS: ReadonlyMap<string, number> = new Map(
  Object.entries(SYSCTL_DEFAULTS).flatMap(([prefix, group]) =>
    Object.entries(group).flatMap(([name, value]): [string, number][] =>
      typeof value === 'number' ? [[prefix + name, value]] : value.map((element, i): [string, number] => [`${prefix}${name}[${i}]`, element]),
    ),
  ),
)

/** The kernel's value of a key nobody set; a device's own conf and neigh keys start as `default`'s. undefined: not a key that is known here. */
export function sysctlDefault(key: string): number | undefined {
  const known = DEFAULTS.get(key)
  if (known !== undefined) return known
  const own = /^net\.ipv4\.(conf|neigh)\.[^.]+\.([^.]+)$/.exec(key)
  if (own === null) return undefined
  if (/^net\.ipv4\.conf\.lo\.disable_(policy|xfrm)$/.test(key)) return 1
  // only `default` has the garbage collector's thresholds
  return own[1] === 'neigh' && own[2].startsWith('gc_') && own[2] !== 'gc_stale_time' ? undefined : DEFAULTS.get(`net.ipv4.${own[1]}.default.${own[2]}`)
}

/** All keys with a default that are no device's own. */
export function defaultSysctls(): Sysctls {
  return Object.fromEntries(DEFAULTS)
}

/** As `sysctl -a` prints them: sorted, vectors in one line with tabs. */
export function printSysctls(sysctls: Sysctls): string {
  const lines = new Map<string, number[]>()
  for (const [key, value] of Object.entries(sysctls)) {
    const element = /^(.*)\[(\d+)\]$/.exec(key)
    const name = element === null ? key : element[1]
    const values = lines.get(name) ?? []
    values[element === null ? 0 : Number(element[2])] = value
    lines.set(name, values)
  }
  return [...lines]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, values]) => `${name} = ${values.join('\t')}\n`)
    .join('')
}

/** What `sysctl -a` says of keys that it may not read, or that the kernel will not give (procps sysctl.c, BusyBox procps/sysctl.c). */
const COMPLAINT = /^(sysctl|error): /

/**
 * Reads `key = value`, `key=value` and `sysctl -w key=value` lines. Keys unknown here are kept, and named in a warning; not so where the place names an
 * author: a real node has hundreds of settings that say nothing of how it forwards.
 */
export function parseSysctls(text: string, place: Place): { readonly sysctls: Sysctls; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: place.by !== undefined })
  const sysctls: Record<string, number> = {}
  for (const line of linesOf(text, report)) {
    if (line.trimStart().startsWith(';') || COMPLAINT.test(line)) continue
    for (const assignment of assignments(line)) readAssignment(assignment, sysctls, report)
  }
  return { sysctls, problems: report.problems }
}

/** `sysctl -w a=1 b=2` holds several. */
function assignments(line: string): readonly string[] {
  const command = /^\s*sysctl\s+(.*)$/.exec(line)
  return command === null ? [line] : command[1].split(/\s+/).filter((word) => !word.startsWith('-'))
}

function readAssignment(text: string, sysctls: Record<string, number>, report: Report): void {
  const match = /^([^=]+)=(.*)$/.exec(text)
  if (match === null) return report.error(`"${text.trim()}" is no sysctl setting`, 'Write KEY = VALUE.')
  const key = normaliseSysctl(match[1])
  if (!/^[\w/-]+(\.[\w/@:+-]+)+$/.test(key)) return report.error(`"${match[1].trim()}" is no sysctl key`, 'Such as net.ipv4.ip_forward.')
  const words = match[2].trim().split(/\s+/)
  const keys = words.length === 1 ? [key] : words.map((_, i) => `${key}[${i}]`)
  const isNumeric = words.every((word) => /^-?\d+$/.test(word))
  const isKnown = sysctlDefault(key) !== undefined || sysctlDefault(`${key}[0]`) !== undefined
  if (isKnown && (!isNumeric || sysctlDefault(keys[0]) === undefined))
    return report.warning(`the sysctl ${key} has the value "${match[2].trim()}", which is none of its: left out`, "The kernel's own default is taken for it.")
  if (!isNumeric) return report.printed ? undefined : report.warning(`the sysctl ${key} has the value "${match[2].trim()}", which is no number: left out`)
  if (!report.printed && sysctlDefault(keys[0]) === undefined)
    report.warning(`the sysctl ${key} is not known here: it is kept and has no effect`, 'Check its spelling.')
  keys.forEach((name, i) => {
    sysctls[name] = Number(words[i])
  })
}
