/**
 * Runs the tests and closes with one line, `N passed, N failed` (and `, N skipped` where any were). A green run prints the
 * same bytes every time: no times, no order of arrival. A red one prints every failure in full, above that line.
 *
 * usage: node scripts/test.mjs [vitest's file filters and options]…
 * A file that cannot be loaded, an error that no test caught and a run that found no test each count as a failure.
 */
import { DefaultReporter, parseCLI, startVitest } from 'vitest/node'

class Count extends DefaultReporter {
  passed = 0
  failed = 0
  skipped = 0

  constructor() {
    super({ summary: false, isTTY: false })
  }

  onInit(vitest) {
    this.ctx = vitest
    this.silent = 'passed-only'
  }

  printTestModule() {}

  onTestRunEnd(modules, unhandledErrors) {
    const inOrder = [...modules].sort((a, b) => (a.moduleId < b.moduleId ? -1 : 1))
    for (const module of inOrder) {
      this.failed += module.errors().length
      for (const suite of module.children.allSuites()) this.failed += suite.errors().length
      for (const test of module.children.allTests()) this.count(test.result().state)
    }
    this.failed += unhandledErrors.length
    if (this.failed > 0)
      this.printErrorsSummary(
        inOrder.map((module) => module.task),
        [...unhandledErrors],
      )
  }

  count(state) {
    if (state === 'passed') this.passed++
    else if (state === 'skipped') this.skipped++
    else this.failed++
  }
}

const counts = new Count()
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
const vitest = await startVitest('test', filter, { ...options, run: true, watch: false, reporters: [counts] })
await vitest.close()
if (counts.passed + counts.failed + counts.skipped === 0) {
  console.error('no test was found')
  counts.failed = 1
}
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
process.exit(counts.failed > 0 ? 1 : 0)
