import { defineConfig } from 'vitest/config'

// `--mode soak` (npm run test:soak) runs the long forms instead: one after the other, since some of them measure.
export default defineConfig(({ mode }) => ({
  test: {
    include: [mode === 'soak' ? '__test__/**/*.soak.test.ts' : '__test__/**/*.test.ts'],
    exclude: ['node_modules/**', ...(mode === 'soak' ? [] : ['__test__/**/*.soak.test.ts'])],
    fileParallelism: mode !== 'soak',
    testTimeout: mode === 'soak' ? 3_600_000 : 60_000,
    hookTimeout: 120_000,
    // Two cores: more workers than that would only make timings noisy.
    maxWorkers: 2,
  },
}))
