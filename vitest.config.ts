import { defineConfig } from 'vitest/config';

// Four tiers: unit needs neither root nor build; the others need root, the built daemon and Debian packages.
const rooted = { testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          testTimeout: 60_000,
          include: ['test/unit/**/*.test.ts', 'test/*.test.ts', 'test/golden/*.test.ts'],
        },
      },
      { test: { name: 'kernel', include: ['test/kernel/**/*.test.ts'], ...rooted } },
      { test: { name: 'faults', include: ['test/faults/**/*.test.ts'], ...rooted } },
      { test: { name: 'differential', include: ['test/differential/**/*.test.ts'], ...rooted } },
    ],
  },
});
