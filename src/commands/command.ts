/** What all commands share: flags made from the settings, one layout of --help, and how wrong usage is told. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { loadConfig, type ConfigKey, type Flags, type LoadedConfig } from '../config.js'
import { envName, fileKey, flagName, GROUPS, KEYS, settingOf } from '../config/schema.js'

/** Settings that every command which reads a data directory knows. */
export const DATA_KEYS = ['dataDir', 'writer'] as const satisfies readonly ConfigKey[]

/** A command in the house layout; `notes` stand below its flags. */
export function command(name: string, about: string, notes = ''): Command {
  const made = new Command(name)
    .description(about)
    .helpOption('-h, --help', 'show this')
    .configureHelp({ formatHelp: (shown) => layout(shown, notes) })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sluicegate: ')) })
    .exitOverride()
  return made
}

/** Adds a flag for each setting; those that are not `common` are hidden, to be found by --help-all. */
export function addSettings(to: Command, keys: readonly ConfigKey[]): Command {
  for (const key of keys) {
    const { kind, about, alsoEnv, common, secret } = settingOf(key)
    if (secret === true) continue
    const also = alsoEnv === undefined ? '' : ` $${alsoEnv}`
    const option = new Option(
      `--${flagName(key)} <${kind.placeholder}>`,
      `${about} [${shownDefault(key)}]${also}`,
    )
    to.addOption(option.hideHelp(common !== true && keys === KEYS))
  }
  return to.addOption(new Option('--config <FILE>', 'JSON with any of these settings $SLUICEGATE_CONFIG'))
}

/** Adds flags for those of `keys` that have none yet; they work, but --help leaves them out. */
export function addHiddenSettings(to: Command, keys: readonly ConfigKey[]): Command {
  const others = addSettings(command('others', ''), keys).options
  const known = new Set(to.options.map((option) => option.long))
  for (const option of others) if (!known.has(option.long)) to.addOption(option.hideHelp())
  return to
}

export function shownDefault(key: ConfigKey): string {
  const setting = settingOf(key)
  return setting.shownDefault ?? setting.kind.show(setting.default)
}

/** The configuration from a command's flags, the environment and the file. */
export function configOf(
  options: Readonly<Record<string, unknown>>,
  keys: readonly ConfigKey[] = KEYS,
): LoadedConfig {
  return loadConfig(options as Flags, undefined, keys)
}

const ENVIRONMENT_NOTE = `Each setting is also an environment variable (--data-dir: SLUICEGATE_DATA_DIR) and a key of the
JSON file (data_dir). Flags win over the environment, the environment over the file.`

const TERM_COLUMNS = 30

/** Fits a screen: mostly one line a flag, 100 columns at most. */
function layout(shown: Command, notes: string): string {
  const options = shown.createHelp().visibleOptions(shown)
  const commands = shown.createHelp().visibleCommands(shown)
  const rows = [
    ...commands.map((one) => [`${one.name()} ${argumentsOf(one)}`.trim(), one.description()] as const),
    ...options.map((one) => [one.flags.replace(/[<>]/g, ''), one.description] as const),
  ]
  const width = Math.min(TERM_COLUMNS, Math.max(...rows.map(([term]) => term.length))) + 2
  const lines = rows.map(([term, about]) => {
    // A term that is too wide stands on a line of its own.
    const gap = term.length + 2 > width ? `\n  ${' '.repeat(width)}` : ' '.repeat(width - term.length)
    return `  ${term}${gap}${about}`
  })
  const settings = options.some((one) => one.long === '--config') ? [ENVIRONMENT_NOTE] : []
  const parts = [`usage: ${usage(shown)}`, shown.description(), lines.join('\n'), ...settings, notes]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function usage(shown: Command): string {
  const names = [shown.name()]
  for (let above = shown.parent; above !== null; above = above.parent) names.unshift(above.name())
  return [...names, argumentsOf(shown), '[flags]'].filter((part) => part !== '').join(' ')
}

function argumentsOf(shown: Command): string {
  const subcommands = shown.commands.map((one) => one.name()).join('|')
  const own = shown.registeredArguments
    .map((one) => (one.required ? one.name() : `[${one.name()}]`))
    .join(' ')
  return shown.parent === null ? '[command]' : subcommands || own
}

/** `serve --help-all`: every setting by group with its environment name. */
export function allSettings(): string {
  const sections = GROUPS.map((group) => {
    const keys = KEYS.filter((key) => settingOf(key).group === group)
    const rows = keys.map((key) => {
      const { kind, about, alsoEnv, secret } = settingOf(key)
      const names = [envName(key), alsoEnv].filter((name) => name !== undefined).join(', ')
      const title = secret === true ? '(no flag)' : `--${flagName(key)} ${kind.placeholder}`
      return `  ${title}\n      ${about} [${shownDefault(key)}]\n      ${names}; in the file ${fileKey(key)}`
    })
    return `${group}\n${rows.join('\n')}`
  })
  return `${sections.join('\n\n')}\n\n${ENVIRONMENT_NOTE}\n`
}

/** For flags of a command's own that hold a count. */
export function count(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}
