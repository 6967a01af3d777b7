/** Views for the tests of docker and of the bridge plugin: host A of the reference, 10.1.15.0/24. */
import { ip } from '../../src/base/ip.js'
import { applyChainEdits } from '../../src/dataplane/chain-edit.js'
import type { ChainEdit } from '../../src/dataplane/iptables.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { CniView, DockerView, PodAttachment } from '../../src/docker/attachment.js'

export function pod(name: string, rest: Partial<PodAttachment> = {}): PodAttachment {
  return { namespace: 'default', name, file: 'pods.yaml', line: 7, ...rest }
}

export function podsNamed(...names: string[]): PodAttachment[] {
  return names.map((name) => pod(name))
}

export function dockerView(change: Partial<DockerView> = {}): DockerView {
  return {
    node: 'a',
    subnet: { address: ip('10.1.15.1'), length: 24 },
    mtu: 1450,
    ipMasq: true,
    pods: [],
    seed: 1,
    version: '27',
    iptables: true,
    icc: true,
    userlandProxy: true,
    forwardPolicyDrop: false,
    ...change,
  }
}

export function cniView(change: Partial<CniView> = {}): CniView {
  return { node: 'a', subnet: { address: ip('10.1.15.1'), length: 24 }, mtu: 1450, ipMasq: false, pods: [], seed: 1, hairpin: true, ...change }
}

/** The rules of one table as iptables-save writes them, chain by chain. */
export function rulesOf(table: 'raw' | 'filter' | 'nat', edits: readonly ChainEdit[]): string[] {
  const state = applyChainEdits({ tables: [] }, edits)
  return printIptablesSave({ tables: state.tables.filter(({ name }) => name === table) })
    .split('\n')
    .filter((line) => line.startsWith('-A '))
}
