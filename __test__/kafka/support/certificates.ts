/** An authority, and keys that it signs: made with openssl for each run, in PEM, as Kafka and Node both read them. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Authority {
  /** PEM of the authority's own certificate. */
  readonly caFile: string
  /** A key with a certificate for `name`, valid for 127.0.0.1 too. */
  issue(name: string, passphrase?: string): Issued
}

export interface Issued {
  readonly keyFile: string
  readonly certFile: string
  /** Key and certificate in one file, for a broker's key store. */
  readonly storeFile: string
}

export function createAuthority(directory: string, name: string): Authority {
  const file = (suffix: string): string => join(directory, `${name}${suffix}`)
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' })
  const key = (path: string, passphrase?: string): void => {
    const cipher = passphrase === undefined ? [] : ['-aes-256-cbc', '-pass', `pass:${passphrase}`]
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', ...cipher, '-out', path)
  }
  key(file('.key'))
  const subject = ['-subj', `/CN=${name}`, '-days', '2']
  openssl('req', '-x509', '-new', '-key', file('.key'), ...subject, '-out', file('.crt'))

  const issue = (holder: string, passphrase?: string): Issued => {
    const of = (suffix: string): string => file(`-${holder}${suffix}`)
    const pass = passphrase === undefined ? [] : ['-passin', `pass:${passphrase}`]
    key(of('.key'), passphrase)
    openssl('req', '-new', '-key', of('.key'), ...pass, '-subj', `/CN=${holder}`, '-out', of('.csr'))
    writeFileSync(of('.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    const signer = ['-CA', file('.crt'), '-CAkey', file('.key'), '-CAcreateserial']
    openssl(
      'x509',
      '-req',
      '-in',
      of('.csr'),
      ...signer,
      '-days',
      '2',
      '-extfile',
      of('.ext'),
      '-out',
      of('.crt'),
    )
    writeFileSync(of('.pem'), readFileSync(of('.key'), 'utf8') + readFileSync(of('.crt'), 'utf8'))
    return { keyFile: of('.key'), certFile: of('.crt'), storeFile: of('.pem') }
  }
  return { caFile: file('.crt'), issue }
}
