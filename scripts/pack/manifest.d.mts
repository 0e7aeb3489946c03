export interface Platform {
  readonly target: string
  readonly name: string
  readonly binaryName: string
  readonly libc?: 'glibc' | 'musl'
}
export function platforms(manifest: object): Platform[]
export function rootManifest(manifest: object): Record<string, unknown>
export function platformManifest(manifest: object, platform: Platform): Record<string, unknown>
