/** Commands that are shown for a root shell do nothing that a dump says: the shell itself takes them apart. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shellWord } from '../../../src/base/shell.js'
import { LEFT_OUT, mend, savedWords } from '../../../src/analysis/drift/shell-words.js'
import { printSavedRule } from '../../../src/dataplane/iptables-save.js'
import type { Rule } from '../../../src/dataplane/iptables.js'

function argvOf(command: string): readonly string[] {
  return execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1)
}

const typed = fc.string({ unit: fc.constantFrom(...'ab \'"\\$`;&|<>(){}[]*?!#~=%-ü'), maxLength: 24 })

describe('words of a mend', () => {
  it('come out of sh as they went in', () => {
    fc.assert(
      fc.property(fc.array(typed, { minLength: 1, maxLength: 6 }), (words) => {
        expect(argvOf(mend`${words}`)).toEqual(words)
      }),
      { numRuns: 200 },
    )
  })

  it('of a rule with a comment are what iptables -D has to be given', () => {
    fc.assert(
      fc.property(typed, (text) => {
        const rule: Rule = { matches: [{ kind: 'comment', text }], target: { kind: 'DROP' } }
        const words = savedWords(printSavedRule('FORWARD', rule)).slice(2)
        expect(argvOf(mend`iptables -D FORWARD ${words}`)).toEqual(['iptables', '-D', 'FORWARD', '-m', 'comment', '--comment', text, '-j', 'DROP'])
      }),
      { numRuns: 100 },
    )
  })

  it('of an evil comment, an evil chain and escaped quotes', () => {
    expect(mend`--comment ${savedWords('"$(touch /tmp/x)"')}`).toBe("--comment '$(touch /tmp/x)'")
    expect(mend`-j ${savedWords('X;id')}`).toBe("-j 'X;id'")
    expect(mend`--comment ${savedWords(String.raw`"it\'s \"mine\""`)}`).toBe(String.raw`--comment 'it'\''s "mine"'`)
    expect(shellWord('10.244.0.0/16')).toBe('10.244.0.0/16')
    expect(shellWord('')).toBe("''")
  })

  it('with a line break, or what a terminal acts on, are no command', () => {
    for (const name of ['a\nid', 'a\rid', 'a\u001b[2J', 'a\u202eb']) expect(mend`ip link del ${name}`).toBe(LEFT_OUT)
    expect(mend`iptables -D X ${savedWords('--comment "open')}`).toBe(LEFT_OUT)
  })
})
