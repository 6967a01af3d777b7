/**
 * Random clusters with policies: what they mean against what Felix's chains do with packets. Needs neither root nor a kernel.
 *
 * usage: npm run fuzz:policy -- [--seeds FIRST..LAST[/STRIDE]] [--dialect kubernetes|cluster|calico|mixed|hosts] [--shrink] [--print]
 *   --seeds    a world from each seed (default 1..100)
 *   --dialect  of that one; else drawn with the seed
 *   --shrink   a world that differs is made smaller as long as it differs in the same way, and printed
 *   --print    prints the manifests of each seed and compares nothing
 * A few lines for each world that differs, then the sums; exit status 1 when any differed.
 */
import { compareDraft, smallest } from './play-policies.js'
import { DIALECTS, manifestOfPolicies, randomPolicyDraft } from './policy-draft.js'
import type { Dialect } from './random-dialects.js'

const SHOWN = 5

const words = process.argv.slice(2)
const value = (name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
const [first, last = first, stride = 1] = (value('--seeds') ?? '1..100').split(/\.\.|\//).map(Number)
const dialect = value('--dialect') as Dialect | undefined
if (dialect !== undefined && !DIALECTS.includes(dialect)) throw new Error(`--dialect ${dialect}: there are ${DIALECTS.join(', ')}`)

const started = performance.now()
const sum = { worlds: 0, pairs: 0, verdicts: 0, denied: 0, differ: 0 }
for (let seed = first; seed <= last; seed += stride) {
  const draft = randomPolicyDraft(seed, dialect)
  if (words.includes('--print')) {
    console.log(manifestOfPolicies(draft))
    continue
  }
  const { pairs, verdicts, denied, differences } = compareDraft(draft)
  sum.worlds++
  sum.pairs += pairs
  sum.verdicts += verdicts
  sum.denied += denied
  if (differences.length === 0) continue
  sum.differ++
  console.log(`seed ${seed}, ${draft.dialect} over ${draft.mode}: ${differences.length} of ${verdicts} differ`)
  for (const one of differences.slice(0, SHOWN)) console.log(`  ${JSON.stringify(one)}`)
  if (!words.includes('--shrink')) continue
  const small = smallest(draft)
  for (const object of [...small.objects, ...small.policies]) console.log(`  ${JSON.stringify(object)}`)
  for (const one of compareDraft(small).differences.slice(0, SHOWN)) console.log(`  ${JSON.stringify(one)}`)
}
if (!words.includes('--print')) {
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const { worlds, pairs, verdicts, denied, differ } = sum
  console.log(
    `${worlds} worlds, ${pairs} pairs, ${verdicts} verdicts (${denied} denied) in ${seconds} s: ${differ === 0 ? 'all equal' : `${differ} worlds differ`}`,
  )
  process.exitCode = differ > 0 ? 1 : 0
}
