/** What the terminal can show: colours, letters, columns. A flag beats the environment, the environment beats what was found. */
import type { Io } from './io.js'

export type ColorWhen = 'auto' | 'always' | 'never'

/** no-color.org, force-color.org: empty is unset; `FORCE_COLOR=0` forces nothing. */
export function wantsColor(when: ColorWhen, { env, outIsTerminal }: Io): boolean {
  if (when !== 'auto') return when === 'always'
  if (isSet(env.NO_COLOR)) return false
  if (isSet(env.FORCE_COLOR) && env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false') return true
  return outIsTerminal && env.TERM !== 'dumb'
}

/** Only a locale that is named and is not UTF-8 says that the terminal has no other letters; containers name none and have them. */
export function wantsAscii(flag: boolean, { env }: Io): boolean {
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find(isSet)
  return flag || (locale !== undefined && !/utf-?8/i.test(locale))
}

const DEFAULT_WIDTH = 100
const WIDEST = 120

/** COLUMNS, else the terminal's, else 100; never so wide that the columns drift apart. */
export function widthOf({ env, columns }: Io): number {
  const told = /^[1-9][0-9]{0,3}$/.test(env.COLUMNS ?? '') ? Number(env.COLUMNS) : undefined
  return Math.min(WIDEST, told ?? columns ?? DEFAULT_WIDTH)
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}
