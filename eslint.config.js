import js from '@eslint/js'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** What would make two runs differ, or tie the library to a process: base/prng.ts and sim/ are the sources of chance and time. */
const IMPURE = [
  { name: 'Date', message: 'time is virtual: sim/simulation.ts' },
  { name: 'performance', message: 'time is virtual: sim/simulation.ts' },
  { name: 'crypto', message: 'chance has one seeded source: base/prng.ts' },
  { name: 'setTimeout', message: 'time is virtual: schedule an event' },
  { name: 'setInterval', message: 'time is virtual: schedule an event' },
  { name: 'setImmediate', message: 'time is virtual: schedule an event' },
  { name: 'queueMicrotask', message: 'time is virtual: schedule an event' },
  { name: 'process', message: 'only cli/ touches the process' },
]
const NODE_GLOBALS = { console: 'readonly', process: 'readonly', URL: 'readonly' }

export default defineConfig(
  { ignores: ['dist/', 'dist-bench/', 'dist-fuzz/', 'coverage/', 'test/recordings/'] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': ['error', { destructuring: 'all' }],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: 'chance has one seeded source: base/prng.ts' }],
    },
  },
  { files: ['**/*.{js,mjs}'], languageOptions: { globals: NODE_GLOBALS } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-empty-object-type': ['error', { allowInterfaces: 'with-single-extends' }],
      // `'open' | string` tells a reader which words are usual.
      '@typescript-eslint/no-redundant-type-constituents': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true, allowNever: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: { 'no-console': 'error', 'no-restricted-globals': ['error', ...IMPURE] },
  },
  {
    // A test reads JSON and calls what must fail: the compiler cannot know those shapes, and the assertion does.
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
)
