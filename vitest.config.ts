import { configDefaults, defineConfig } from 'vitest/config'

/** test/real-kernel needs root and a Linux kernel, and changes network namespaces: only when asked for, one file at a time. */
const realKernel = process.env.NETSIM_REAL_KERNEL === '1'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: realKernel ? configDefaults.exclude : [...configDefaults.exclude, 'test/real-kernel/**'],
    fileParallelism: !realKernel,
    testTimeout: realKernel ? 120_000 : 30_000,
    env: { NO_COLOR: '1', TZ: 'UTC' },
  },
})
