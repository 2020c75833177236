/** How each server is started. */
import type { ServerKind } from './binary.ts'
import type { Certificates } from './certificates.ts'

export interface Launch {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Answers 200 when it is ready. */
  readonly healthPath: string
}

export interface LaunchOptions {
  readonly dataDir: string
  readonly iamDir: string
  /** 127.0.0.1, unless it is a pod. */
  readonly host?: string
  readonly port: number
  readonly accessKey: string
  readonly secretKey: string
  readonly tls: Certificates | undefined
  readonly certificatesDir: string
}

export function launchOf(kind: ServerKind, options: LaunchOptions): Launch {
  return kind === 'versitygw' ? versitygw(options) : minio(options)
}

function versitygw({
  dataDir,
  iamDir,
  host = '127.0.0.1',
  port,
  accessKey,
  secretKey,
  tls,
}: LaunchOptions): Launch {
  const encrypted = tls === undefined ? [] : ['--cert', tls.certPath, '--key', tls.keyPath]
  // without a directory of users an unknown key is answered with 404; two seconds of cache would hide a new policy
  const users = ['--iam-dir', iamDir, '--iam-cache-ttl', '1']
  const args = ['--port', `${host}:${port}`, '--health', '/healthz', '--quiet', ...users, ...encrypted]
  return {
    args: [...args, 'posix', dataDir],
    env: { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey },
    healthPath: '/healthz',
  }
}

function minio({ dataDir, port, accessKey, secretKey, tls, certificatesDir }: LaunchOptions): Launch {
  // an empty directory of certificates means no TLS
  const certificates = tls === undefined ? `${certificatesDir}-none` : `${certificatesDir}/server`
  return {
    args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, '--certs-dir', certificates, dataDir],
    env: {
      MINIO_ROOT_USER: accessKey,
      MINIO_ROOT_PASSWORD: secretKey,
      // it asks nobody outside for anything
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      MINIO_CALLHOME_ENABLE: 'off',
    },
    healthPath: '/minio/health/ready',
  }
}
