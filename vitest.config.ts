import { defineConfig } from 'vitest/config'

// `--mode soak` (npm run test:soak) adds the long forms of the tests.
export default defineConfig(({ mode }) => ({
  test: {
    include: ['__test__/**/*.test.ts'],
    exclude: ['node_modules/**', ...(mode === 'soak' ? [] : ['__test__/**/*.soak.test.ts'])],
    testTimeout: mode === 'soak' ? 3_600_000 : 60_000,
    hookTimeout: 120_000,
    // Two cores: more workers than that would only make timings noisy.
    maxWorkers: 2,
  },
}))
