// All tests, with all that they need: npm test [-- [unit|kernel|faults|differential …] [--require-all] [any vitest argument]].
// What cannot run on this machine is named and counted; with --require-all or CI=true it is a failure.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ensureBuilt, ensureModules, ensurePackages, isRoot, missingPackages, PACKAGES, ROOT } from './setup.js';

/** The tiers, as vitest.config.ts has them, and the Debian packages each needs. Those that need any also need root and a build. */
const TIERS = {
  unit: [],
  kernel: [...PACKAGES.lab, ...PACKAGES.peers, ...PACKAGES.databases, 'nftables'],
  faults: [...PACKAGES.lab, ...PACKAGES.databases, 'nftables'],
  differential: [...PACKAGES.lab, ...PACKAGES.ulogd, ...PACKAGES.databases, ...PACKAGES.ulogdDatabases, 'nfacct'],
};

/** @typedef {keyof typeof TIERS} Tier @typedef {{ passed: number, failed: number, skipped: string[] }} Counts */

const allTiers = /** @type {Tier[]} */ (Object.keys(TIERS));
const requireAllFlag = '--require-all';
const given = process.argv.slice(2);
const named = allTiers.filter((tier) => given.includes(tier));
const tiers = named.length > 0 ? named : allTiers;
const forVitest = given.filter((word) => word !== requireAllFlag && !allTiers.includes(/** @type {Tier} */ (word)));
const requireAll = given.includes(requireAllFlag) || process.env.CI === 'true';
// vitest reports what a name filter leaves out as skipped, though nothing kept it from running.
const byName = forVitest.some((word) => /^(-t|--testNamePattern)/.test(word));

/** Prepares the machine, and says why each tier that cannot run cannot. */
function prepare() {
  ensureModules();
  const rooted = tiers.filter((tier) => TIERS[tier].length > 0);
  /** @type {Map<Tier, string>} */
  const obstacles = new Map();
  if (rooted.length === 0) return obstacles;
  let fault = '';
  if (!isRoot()) fault = 'only root may run it';
  else if (spawnSync('unshare', ['--net', 'true']).status !== 0) fault = 'network namespaces are not allowed here';
  else {
    try {
      ensurePackages(rooted.flatMap((tier) => TIERS[tier]).filter((name, at, all) => all.indexOf(name) === at));
    } catch (error) {
      console.error(messageOf(error));
    }
    // A build that fails is a failure of the tests, not an obstacle: it throws.
    ensureBuilt();
  }
  for (const tier of rooted) {
    const missing = missingPackages(TIERS[tier]);
    if (fault) obstacles.set(tier, fault);
    else if (missing.length > 0) obstacles.set(tier, `missing Debian packages: ${missing.join(' ')}`);
  }
  return obstacles;
}

/** @param {string[]} args */
function vitest(args) {
  return spawnSync(process.execPath, [join(ROOT, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
}

/** Runs vitest for these tiers. @param {Tier[]} runnable @returns {Counts} */
function runTests(runnable) {
  const directory = mkdtempSync(join(tmpdir(), 'flowlogd-test-'));
  try {
    const file = join(directory, 'results.json');
    const projects = runnable.flatMap((tier) => ['--project', tier]);
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const { status, signal } = vitest(['run', ...projects, ...reporters, ...forVitest]);
    const counts = existsSync(file)
      ? count(JSON.parse(readFileSync(file, 'utf8')))
      : { passed: 0, failed: 0, skipped: [] };
    if (status !== 0 && counts.failed === 0) {
      // An error outside any test, or vitest itself: no test to count, and still not a success.
      console.error(`vitest ended with ${signal ?? `exit code ${status}`}`);
      counts.failed = 1;
    }
    return counts;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Counts what vitest's JSON reporter tells.
 * @param {{ testResults: { name: string, status: string, assertionResults: { status: string, fullName: string }[] }[] }} results
 */
function count({ testResults }) {
  /** @type {Counts} */
  const counts = { passed: 0, failed: 0, skipped: [] };
  for (const { name, status, assertionResults } of testResults) {
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed += 1;
      else if (test.status === 'failed') counts.failed += 1;
      else counts.skipped.push(`${relative(ROOT, name)}: ${test.fullName}`);
    }
    // A file that does not even load has no tests to fail.
    if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) counts.failed += 1;
  }
  return counts;
}

/** The names of a tier's tests, found without running them. @param {Tier} tier @returns {string[]} */
function listTests(tier) {
  const directory = mkdtempSync(join(tmpdir(), 'flowlogd-test-'));
  try {
    const file = join(directory, 'list.json');
    vitest(['list', '--project', tier, `--json=${file}`, ...forVitest]);
    /** @type {{ name: string, file: string }[]} */
    const tests = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
    return tests.map((test) => `${relative(ROOT, test.file)}: ${test.name}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

function main() {
  const obstacles = prepare();
  const runnable = tiers.filter((tier) => !obstacles.has(tier));
  const counts = runnable.length > 0 ? runTests(runnable) : { passed: 0, failed: 0, skipped: [] };
  console.log('');
  if (byName) console.log(`not asked for by name: ${counts.skipped.length}`);
  else for (const test of counts.skipped) console.log(`not run: ${test}`);
  let notRun = byName ? 0 : counts.skipped.length;
  for (const [tier, reason] of obstacles) {
    const tests = listTests(tier);
    console.log(`not run: the ${tier} tier, ${tests.length} tests: ${reason}`);
    for (const test of tests) console.log(`  ${test}`);
    // A tier whose tests cannot even be listed still counts: as one.
    notRun += Math.max(tests.length, 1);
  }
  const skipped = notRun + (byName ? counts.skipped.length : 0);
  if (!requireAll || notRun === 0) return { ...counts, skipped };
  console.log(`everything was required to run: ${notRun} not run count as failed`);
  return { passed: counts.passed, failed: counts.failed + notRun, skipped: skipped - notRun };
}

let result = { passed: 0, failed: 1, skipped: 0 };
try {
  result = main();
} catch (error) {
  console.error(`\nset-up failed: ${messageOf(error)}`);
}
const { passed, failed, skipped } = result;
if (passed + failed === 0) console.log('no test ran at all: that is no success');
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
