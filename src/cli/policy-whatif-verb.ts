/** `netsim policy whatif` on the command line: its flags. What it does comes with policy-whatif-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { addChangeOptions, CHANGE_EXITS, type PolicyChangeFlags } from './policy-change-verb.js'
import { isFault, parseLabelChange, type LabelChange } from '../cluster/object-reference.js'
import { addPolicyOptions } from './policy-flags.js'
import type { Running } from './verb.js'

/** An edit as it was written; the flags stand in the order of the command line. */
export type EditWords =
  | { readonly kind: 'add' | 'replace'; readonly file: string }
  | { readonly kind: 'delete'; readonly target: string }
  | { readonly kind: 'label'; readonly target: string; readonly changes: LabelChange[] }
  | { readonly kind: 'scale'; readonly target: string; readonly replicas: number }

export interface WhatIfFlags extends PolicyChangeFlags {
  /** Both ends, with a space between. */
  readonly ask?: string
}

export function addPolicyWhatIf(group: Command, name: string, { io, status }: Running): void {
  const edits: EditWords[] = []
  const command = group
    .command('whatif')
    .summary('what an edit would open and close, and which rules decide')
    .description(
      'Takes the manifests of -f, makes the edits in the order given as kubectl would, and compares: what closes, what opens, the rule that decided ' +
        'before and the one that decides after with file and line. Nothing is changed anywhere.',
    )
    .addHelpText('before', whatIfExamples(name))
    .addHelpText('after', CHANGE_EXITS)
    .showHelpAfterError(`See '${name} policy whatif --help'.`)
  const edit = (flags: string, about: string, take: (text: string) => void): Option =>
    new Option(flags, about).argParser((text: string) => {
      take(text)
      return true
    })
  addPolicyOptions(command)
    .addOption(edit('--add <FILE>', 'apply what the file holds', (file) => edits.push({ kind: 'add', file })))
    .addOption(edit('--replace <FILE>', 'the same, of what is there already', (file) => edits.push({ kind: 'replace', file })))
    .addOption(edit('--delete <KIND/NS/NAME>', 'np/shop/db, anp/gate, pod/…, ns/…, deploy/…', (target) => edits.push({ kind: 'delete', target })))
    .addOption(
      edit('--label <TARGET CHANGE...>', "set labels, or take them away: pod/shop/a k=v, ns/shop k-; of a workload its pods'", (text) =>
        takeLabel(text, edits),
      ),
    )
    .addOption(edit('--scale <TARGET=N>', 'another number of replicas: deploy/shop/web=3', (text) => edits.push(scaleOf(text))))
  command.option(
    '--ask <SRC DST:PORT>',
    'in quotes: of this one connection alone, why before and after; svc/…, host/… and node ports too, as policies see them behind NAT',
  )
  addChangeOptions(command).action(async (flags: WhatIfFlags) => {
    const { policyWhatIf } = await import('./policy-whatif-command.js')
    status.code = await policyWhatIf(edits, flags, io)
  })
}

/** Word by word, or all in quotes: a target, then its changes. */
function takeLabel(text: string, edits: EditWords[]): void {
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const isChange = word.includes('=') || word.endsWith('-')
    const last = edits.at(-1)
    if (!isChange) edits.push({ kind: 'label', target: word, changes: [] })
    else if (last?.kind !== 'label') throw new InvalidArgumentError(`Whose label? Write the object first: --label pod/shop/web-0 ${word}`)
    else {
      const change = parseLabelChange(word)
      if (isFault(change)) throw new InvalidArgumentError(`${change.what}. ${change.fix}`)
      last.changes.push(change)
    }
  }
}

function scaleOf(text: string): EditWords {
  const match = /^(.+)=([0-9]{1,6})$/.exec(text)
  if (match === null) throw new InvalidArgumentError('It must be a workload and a number: deploy/shop/web=3.')
  return { kind: 'scale', target: match[1], replicas: Number(match[2]) }
}

function whatIfExamples(name: string): string {
  return `Examples:
  ${name} policy whatif -f shop/ --delete np/shop/db                 what opens when a policy goes
  ${name} policy whatif -f shop/ --add deny-all.yaml                 what closes when one comes
  ${name} policy whatif -f shop/ --label ns/shop env=prod team-
  ${name} policy whatif -f shop/ --add new.yaml --delete np/shop/old --expect no-op

`
}
