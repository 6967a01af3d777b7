/** What files say does not steer the terminal; a pipe gets it as it is, since other tools read it. */
import { describe, expect, it } from 'vitest'
import { netsim } from './memory-io.js'

const NETWORK = JSON.stringify({
  apiVersion: 'netsim/v1',
  kind: 'Network',
  metadata: { name: 'default' },
  spec: { cni: 'none', hosts: [{ node: 'n1', iptables: ['-A INPUT -m comment --comment "\u001b[2Jgone" -j ACCEPT'] }] },
})
const NODE = '{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}'
const WORDS = ['show', 'iptables', 'n1', '-f', '-']

describe('netsim show', () => {
  it('a comment of a rule with an escape in it', async () => {
    const stdin = `${NODE}\n---\n${NETWORK}\n`
    expect((await netsim(WORDS, { stdin })).out).toContain('"\u001b[2Jgone"')
    const shown = await netsim(WORDS, { stdin, terminal: true })
    expect(shown.code, shown.err).toBe(0)
    expect(shown.out).toContain('"?[2Jgone"')
    expect(shown.out).not.toContain('\u001b')
  })
})
