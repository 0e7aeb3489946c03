// The manifests of the published packages, made from package.json: the seven platforms are those of its `napi.targets`.

// Names as @napi-rs/cli gives them; the generated loader asks for these.
const PLATFORMS = {
  'x86_64-unknown-linux-gnu': { suffix: 'linux-x64-gnu', os: 'linux', cpu: 'x64', libc: 'glibc' },
  'aarch64-unknown-linux-gnu': { suffix: 'linux-arm64-gnu', os: 'linux', cpu: 'arm64', libc: 'glibc' },
  'x86_64-unknown-linux-musl': { suffix: 'linux-x64-musl', os: 'linux', cpu: 'x64', libc: 'musl' },
  'aarch64-unknown-linux-musl': { suffix: 'linux-arm64-musl', os: 'linux', cpu: 'arm64', libc: 'musl' },
  'x86_64-apple-darwin': { suffix: 'darwin-x64', os: 'darwin', cpu: 'x64' },
  'aarch64-apple-darwin': { suffix: 'darwin-arm64', os: 'darwin', cpu: 'arm64' },
  'x86_64-pc-windows-msvc': { suffix: 'win32-x64-msvc', os: 'win32', cpu: 'x64' },
}
const SHARED = ['license', 'repository', 'engines', 'publishConfig']

export function platforms({ name, napi }) {
  return napi.targets.map((target) => {
    const platform = PLATFORMS[target]
    if (platform === undefined) throw new Error(`no platform package is known for ${target}`)
    return {
      target,
      name: `${name}-${platform.suffix}`,
      binaryName: `${napi.binaryName}.${platform.suffix}.node`,
      ...platform,
    }
  })
}

/** What the package needs where it is installed, and nothing of what it takes to build it. */
export function rootManifest(manifest) {
  const {
    private: _private,
    scripts: _scripts,
    devDependencies: _dev,
    overrides: _overrides,
    napi: _napi,
    ...kept
  } = manifest
  const { version } = manifest
  return {
    ...kept,
    optionalDependencies: Object.fromEntries(platforms(manifest).map(({ name }) => [name, version])),
  }
}

export function platformManifest(manifest, { name, target, binaryName, os, cpu, libc }) {
  return {
    name,
    version: manifest.version,
    description: `The native decoder of ${manifest.name} for ${target}`,
    ...Object.fromEntries(SHARED.map((key) => [key, manifest[key]])),
    main: binaryName,
    files: [binaryName],
    os: [os],
    cpu: [cpu],
    ...(libc !== undefined && { libc: [libc] }),
  }
}
