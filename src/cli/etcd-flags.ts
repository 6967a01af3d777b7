/** `--etcd` and the flags that go with it, on the command line. What they do comes with etcd-input.ts, when `--etcd` is given. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { maskedUrl, splitUrls } from '../base/etcd-tree.js'
import { parseDuration } from '../cluster/units.js'
import { UsageError } from './exit.js'

export interface EtcdFlags {
  /** As written: each may be a list with commas, and may hold a password. */
  readonly etcd?: readonly string[]
  readonly etcdPrefix?: string
  readonly etcdCacert?: string
  readonly etcdCert?: string
  readonly etcdKey?: string
  /** NAME:PASSWORD, or NAME alone. */
  readonly etcdUser?: string
  /** ns */
  readonly etcdTimeout?: number
}

/** In place of a password on the command line. */
export const PASSWORD_VARIABLE = 'NETSIM_ETCD_PASSWORD'

const DEFAULT_TIMEOUT_NS = 5e9
const LONGEST_TIMEOUT_NS = 3600e9

/** @throws UsageError when --etcd-… is there without --etcd */
export function checkEtcdFlags(flags: EtcdFlags): void {
  if ((flags.etcd ?? []).length > 0) return
  const { etcdCacert, etcdCert, etcdKey, etcdUser } = flags
  const lonely = Object.entries({ '--etcd-cacert': etcdCacert, '--etcd-cert': etcdCert, '--etcd-key': etcdKey, '--etcd-user': etcdUser }).find(
    ([, value]) => value !== undefined,
  )
  if (lonely !== undefined) throw new UsageError(`${lonely[0]} goes with --etcd URL`)
}

/** The flags as words again, without passwords: for a command that asks the same network. */
export function etcdWords({ etcd = [], etcdPrefix, etcdCacert, etcdCert, etcdKey, etcdUser, etcdTimeout }: EtcdFlags): string[] {
  const valued = {
    '--etcd-prefix': etcdPrefix,
    '--etcd-cacert': etcdCacert,
    '--etcd-cert': etcdCert,
    '--etcd-key': etcdKey,
    '--etcd-user': etcdUser?.replace(/:.*/s, ':***'),
  }
  const words = etcd.flatMap((list) => ['--etcd', splitUrls(list).map(maskedUrl).join(',')])
  for (const [flag, value] of Object.entries(valued)) if (value !== undefined) words.push(flag, value)
  if (etcdTimeout !== undefined && etcdTimeout !== DEFAULT_TIMEOUT_NS) words.push('--etcd-timeout', `${etcdTimeout / 1e6}ms`)
  return words
}

/** URL and user are checked later: commander's own message would show the password that stands in them. */
export function addEtcdOptions(command: Command): Command {
  return command
    .option(
      '--etcd <URL,…>',
      "read flannel's keys from this etcd, the first that answers; again and again",
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .addOption(new Option('--etcd-prefix <KEY>', "where flannel's keys are in etcd, or in a snapshot of it").argParser(prefix))
    .option('--etcd-cacert <FILE>', "PEM: who signed the server's certificate")
    .option('--etcd-cert <FILE>', 'PEM: the certificate of the client')
    .option('--etcd-key <FILE>', 'PEM: its key')
    .option('--etcd-user <NAME:PASSWORD>', `user of etcd; with NAME alone the password is in ${PASSWORD_VARIABLE}`)
    .addOption(new Option('--etcd-timeout <TIME>', 'for all that one etcd is asked').argParser(timeout).default(DEFAULT_TIMEOUT_NS, '5s'))
}

function prefix(text: string): string {
  if (!/[^/]/.test(text)) throw new InvalidArgumentError('It must be the key that flannel has in --etcd-prefix, like /coreos.com/network.')
  return text
}

function timeout(text: string): number {
  const ns = parseDuration(text)
  if (ns === undefined || ns < 1e6 || ns > LONGEST_TIMEOUT_NS) throw new InvalidArgumentError('It must be a time with its unit, from 1ms to 1h: 500ms, 5s.')
  return ns
}
