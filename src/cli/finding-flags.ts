/** The flags of commands that tell findings: which of them, in which form. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { SEVERITIES, type Severity } from '../base/finding.js'
import { nearestName } from '../cluster/nearest-name.js'
import { choosing, choosingSeveral } from './choices.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, outputFormat } from './trace-options.js'

const FINDING_FORMATS = ['text', 'json', 'sarif', 'junit'] as const

/** As commander hands them over. */
export interface FindingFlags<Code extends string> {
  readonly output: (typeof FINDING_FORMATS)[number]
  readonly severity: Severity
  readonly only: readonly Code[]
  readonly skip: readonly Code[]
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

/** @param page where the codes are listed */
export function addFindingOptions(command: Command, codes: readonly string[], page: string): Command {
  const several = choosingSeveral(codes, (text: string): readonly string[] => text.split(',').map((word) => codeNamed(word.trim(), codes, page)))
  return command
    .addOption(new Option('-o, --output <FORMAT>', FINDING_FORMATS.join(', ')).argParser(outputFormat(FINDING_FORMATS)).default('text'))
    .addOption(new Option('--severity <LEVEL>', 'tell findings from there on: error, warning or info').argParser(severity).default('warning'))
    .addOption(new Option('--only <CODE,…>', 'look for these alone').argParser(several).default([], 'all'))
    .addOption(new Option('--skip <CODE,…>', 'leave these out').argParser(several).default([], 'none'))
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
}

const severity = choosing(SEVERITIES, (text): Severity => {
  const found = SEVERITIES.find((word) => word === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${SEVERITIES.join(', ')}.`)
  return found
})

/** In any case of letters. */
function codeNamed(word: string, codes: readonly string[], page: string): string {
  const found = codes.find((code) => code === word.toUpperCase())
  if (found !== undefined) return found
  const nearest = nearestName(word.toUpperCase(), codes)
  throw new InvalidArgumentError(`There is no code ${word}.${nearest === undefined ? '' : ` (Did you mean ${nearest}?)`} ${page} lists them.`)
}
