import { describe, expect, it } from 'vitest'
import { printSavedRule } from '../../src/dataplane/iptables-save.js'
import { renderMasquerade } from '../../src/flannel/masquerade.js'
import { configOf, view } from './fixtures.js'

/** `table action rule`, in the order of the edits. */
function rules(version: string, change: Parameters<typeof view>[0] = {}): string[] {
  const { chainEdits } = renderMasquerade(view({ version, ...change }))
  return chainEdits.flatMap((edit) => edit.rules.map((rule) => `${edit.table} ${edit.action} ${printSavedRule(edit.chain, rule)}`))
}

const FORWARD = ['filter append -A FORWARD -s 10.1.0.0/16 -j ACCEPT', 'filter append -A FORWARD -d 10.1.0.0/16 -j ACCEPT']

describe('renderMasquerade by version', () => {
  it('0.1.0 to 0.2.x', () => {
    expect(rules('0.2.1')).toEqual([
      'nat create -A FLANNEL -d 10.1.0.0/16 -j ACCEPT',
      'nat create -A FLANNEL -d 224.0.0.0/4 -j ACCEPT',
      'nat create -A FLANNEL ! -o flannel0 -j MASQUERADE',
      'nat append -A POSTROUTING -s 10.1.0.0/16 -j FLANNEL',
    ])
  })

  it('0.3.0 to 0.5.5', () => {
    const early = [
      'nat create -A FLANNEL -d 10.1.0.0/16 -j ACCEPT',
      'nat create -A FLANNEL ! -d 224.0.0.0/4 -j MASQUERADE',
      'nat append -A POSTROUTING -s 10.1.0.0/16 -j FLANNEL',
    ]
    expect(rules('0.5.3')).toEqual(early)
    expect(rules('0.5.5')).toEqual([...early, 'nat append -A POSTROUTING ! -s 10.1.0.0/16 -d 10.1.0.0/16 -j MASQUERADE'])
  })

  it('0.5.6 to 0.10.0: in POSTROUTING, the own lease from 0.8.0-rc2, forwarding from 0.9.1', () => {
    const [first, second, last] = [
      '-s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN',
      '-s 10.1.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE',
      '! -s 10.1.0.0/16 -d 10.1.0.0/16 -j MASQUERADE',
    ].map((text) => `nat append -A POSTROUTING ${text}`)
    expect(rules('0.8.0-rc1')).toEqual([first, second, last])
    const own = 'nat append -A POSTROUTING ! -s 10.1.0.0/16 -d 10.1.15.0/24 -j RETURN'
    expect(rules('0.9.0')).toEqual([first, second, own, last])
    expect(rules('0.10.0')).toEqual([first, second, own, last, ...FORWARD])
    expect(rules('0.10.0', { forwardRules: false })).toHaveLength(6)
  })

  it('0.11.0: random-fully where iptables knows it', () => {
    expect(rules('0.11.0')[1]).toBe('nat append -A POSTROUTING -s 10.1.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully')
    expect(rules('0.11.0', { randomFully: false })[1]).toBe('nat append -A POSTROUTING -s 10.1.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE')
    expect(rules('0.11.0', { ipMasq: false })).toEqual(FORWARD)
    expect(rules('0.11.0', { ipMasq: false, forwardRules: false })).toEqual([])
  })

  it('0.16.2: comments', () => {
    expect(rules('0.16.2')[0]).toBe('nat append -A POSTROUTING -s 10.1.0.0/16 -d 10.1.0.0/16 -m comment --comment "flanneld masq" -j RETURN')
    expect(rules('0.16.1')[0]).not.toContain('comment')
  })

  it('trap 23: own chains from 0.20.0; jumps inserted up to 0.21.2, appended since', () => {
    const jumps = (version: string): string[] => rules(version).filter((line) => line.includes('-j FLANNEL'))
    expect(jumps('0.20.0')).toEqual([
      'nat insert -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
      'filter insert -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    ])
    expect(jumps('0.21.2')[0]).toMatch(/^nat insert/)
    expect(jumps('0.21.3')[1]).toMatch(/^filter append/)
    expect(rules('0.20.1')[0]).toBe('nat create -A FLANNEL-POSTRTG -s 10.1.0.0/16 -d 10.1.0.0/16 -m comment --comment "flanneld masq" -j RETURN')
    expect(rules('0.20.2')[0]).toContain('--mark 0x4000/0x4000')
  })

  it('0.28.9: the whole list', () => {
    const comment = '-m comment --comment "flanneld masq"'
    expect(rules('0.28.9')).toEqual([
      `nat create -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${comment} -j RETURN`,
      `nat create -A FLANNEL-POSTRTG -s 10.1.15.0/24 -d 10.1.0.0/16 ${comment} -j RETURN`,
      `nat create -A FLANNEL-POSTRTG -s 10.1.0.0/16 -d 10.1.15.0/24 ${comment} -j RETURN`,
      `nat create -A FLANNEL-POSTRTG ! -s 10.1.0.0/16 -d 10.1.15.0/24 ${comment} -j RETURN`,
      `nat create -A FLANNEL-POSTRTG -s 10.1.0.0/16 ! -d 224.0.0.0/4 ${comment} -j MASQUERADE --random-fully`,
      `nat create -A FLANNEL-POSTRTG ! -s 10.1.0.0/16 -d 10.1.0.0/16 ${comment} -j MASQUERADE --random-fully`,
      `nat append -A POSTROUTING ${comment} -j FLANNEL-POSTRTG`,
      'filter create -A FLANNEL-FWD -s 10.1.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
      'filter create -A FLANNEL-FWD -d 10.1.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
      'filter append -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    ])
  })

  it('0.21.0 to 0.21.3 with an old iptables: nothing is accepted, and that is said', () => {
    const { chainEdits, problems } = renderMasquerade(view({ version: '0.21.3', randomFully: false }))
    expect(chainEdits.every((edit) => edit.table === 'filter')).toBe(true)
    expect(problems).toHaveLength(1)
    expect(renderMasquerade(view({ version: '0.21.4', randomFully: false })).problems).toEqual([])
  })

  it('nftables mode is named as not modelled', () => {
    const nftables = { ...view(), config: configOf({ Network: '10.1.0.0/16', EnableNFTables: true }) }
    expect(renderMasquerade(nftables)).toMatchObject({
      chainEdits: [],
      problems: [{ severity: 'warning', what: expect.stringContaining('not modelled') as string }],
    })
    expect(configOf({ Network: '10.1.0.0/16', EnableNFTables: true }, '0.24.0').enableNFTables).toBe(false)
  })
})
