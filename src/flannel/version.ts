/** flannel's version numbers: `0.11.0`, `v0.28.9`, `0.8.0-rc2`. Behaviour is chosen by comparing them. */
import { assert } from '../base/assert.js'
import type { Problem } from '../base/problem.js'

/** The newest release whose behaviour is known here. */
const NEWEST_KNOWN_VERSION = '0.28.9'

interface Version {
  readonly parts: readonly [number, number, number]
  /** Number of the release candidate; Infinity for the release itself and for rebuilds of it (`-k3s1.23`). */
  readonly candidate: number
}

const parsed = new Map<string, Version | undefined>()

export function isFlannelVersion(text: string): boolean {
  return versionOf(text) !== undefined
}

/** True when the version is the named one or newer. @throws InvariantError when either is no version: check the input first */
export function atLeast(version: string, minimum: string): boolean {
  const a = versionOf(version)
  const b = versionOf(minimum)
  assert(a !== undefined && b !== undefined, `not a flannel version: ${version}`)
  for (let i = 0; i < 3; i++) if (a.parts[i] !== b.parts[i]) return a.parts[i] > b.parts[i]
  return a.candidate >= b.candidate
}

export function checkVersion(version: string, file: string): Problem[] {
  if (!isFlannelVersion(version)) {
    return [{ severity: 'error', file, line: 0, object: 'flannel', what: `'${version}' is not a flannel version`, fix: `write it as ${NEWEST_KNOWN_VERSION}` }]
  }
  if (atLeast(version, '0.1.0') && atLeast(NEWEST_KNOWN_VERSION, version)) return []
  const fix = `it is taken to behave as ${NEWEST_KNOWN_VERSION}`
  return [
    { severity: 'warning', file, line: 0, object: 'flannel', what: `flannel ${version} is not one of the releases 0.1.0 to ${NEWEST_KNOWN_VERSION}`, fix },
  ]
}

function versionOf(text: string): Version | undefined {
  if (!parsed.has(text)) {
    const match = /^v?(\d+)\.(\d+)\.(\d+)(?:-(?:rc(\d+)|[\w.-]+))?$/.exec(text)
    const candidate = match?.[4] === undefined ? Infinity : Number(match[4])
    parsed.set(text, match === null ? undefined : { parts: [Number(match[1]), Number(match[2]), Number(match[3])], candidate })
  }
  return parsed.get(text)
}
