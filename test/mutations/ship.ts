/** What keeps the commit true: data proven before the manifest, the manifest before anything local goes. */
import type { Mutation } from './mutation.ts'

const COMMIT = 'capture/ship/commit.ts'
const SPOOL = 'capture/ship/spool.ts'

const COMMIT_TEST = 'test/ship/commit.test.ts'
const SPOOL_TEST = 'test/ship/spool.test.ts'

export const SHIP: readonly Mutation[] = [
  {
    name: 'the manifest before the data',
    why: 'a reader is told of objects that are not there, and a kill leaves it so',
    file: COMMIT,
    find: 'for (const object of manifest.objects) await shipObject(',
    replace:
      'await bucket.put(key, bytes, sha256(bytes))\n  for (const object of manifest.objects) await shipObject(',
    test: {
      file: COMMIT_TEST,
      name: 'commit: objects are put and read back one by one, the manifest last',
    },
  },
  {
    name: 'objects are not read back',
    why: 'a store that keeps half of a PUT is believed',
    file: COMMIT,
    find: 'if (back === undefined || sha256(back) !== object.sha256) {',
    replace: "if (back === undefined || sha256(back) === '') {",
    test: {
      file: COMMIT_TEST,
      name: 'commit: a store that does "truncate" at any one operation delays the commit, and never fakes it',
    },
  },
  {
    name: 'local files go before the manifest is read back',
    why: 'a store that lies takes the only copy with it',
    file: COMMIT,
    find: 'if (back === undefined || !back.equals(bytes))\n',
    replace: 'if (back === null)\n',
    test: {
      file: COMMIT_TEST,
      name: 'commit: a store that does "lie" at any one operation delays the commit, and never fakes it',
    },
  },
  {
    name: 'files that changed on disk are uploaded',
    why: 'bit rot in the spool becomes data',
    file: COMMIT,
    find: 'if (body.byteLength === object.bytes && found === object.sha256) return body',
    replace: 'if (body.byteLength >= 0) return body',
    test: { file: COMMIT_TEST, name: 'commit: of a window damaged on disk nothing is uploaded' },
  },
  {
    name: 'a committed window is written again',
    why: 'readers see a manifest change after it was final',
    file: COMMIT,
    find: 'if (found.equals(sealedBytes)) return true',
    replace: 'if (found.equals(sealedBytes)) return false',
    test: {
      file: COMMIT_TEST,
      name: 'commit: a committed window is not written again, also without its Parquet',
    },
  },
  {
    name: 'half a manifest counts as a commit',
    why: 'the window is dropped though no reader can see it',
    file: COMMIT,
    find: 'hooks.onNoManifest?.(key, error.message)\n    return false',
    replace: 'hooks.onNoManifest?.(key, error.message)\n    return true',
    test: {
      file: COMMIT_TEST,
      name: 'commit: half a manifest, or that of another window, commits nothing and is written over',
    },
  },
  {
    name: 'a manifest is not held against its own hash',
    why: 'a flipped byte in it moves coverage',
    file: 'capture/ship/manifest.ts',
    find: 'if (found !== manifest.sha256) {',
    replace: "if (found === '') {",
    test: { file: 'test/ship/manifest.test.ts', name: 'manifest: any flipped byte is found' },
  },
  {
    name: 'the segment goes first',
    why: 'a kill in the middle of a drop leaves nothing to go on from',
    file: SPOOL,
    find: 'const sealed = this.sealedPath(name)\n    if (await exists(sealed)) {',
    replace:
      'const sealed = this.sealedPath(name)\n    await fs.rm(this.segmentPath(name), { force: true })\n    if (await exists(sealed)) {',
    test: {
      file: SPOOL_TEST,
      name: 'spool: a drop deletes Parquet, then the seal, then the segment; other windows stay',
    },
  },
  {
    name: 'segments that are not sealed make room',
    why: 'data that was never shipped is deleted',
    file: SPOOL,
    find: 'if (!hasSealed || !hasSegment) continue',
    replace: 'if (!hasSegment) continue',
    test: {
      file: SPOOL_TEST,
      name: 'spool: segments of sealed windows make room, oldest first; no other file goes',
    },
  },
  {
    name: 'quarantine is emptied unproven',
    why: 'the evidence of a fault is lost by a store that lies',
    file: 'capture/ship/quarantine.ts',
    find: 'if (proof === undefined || !proof.equals(body))\n',
    replace: 'if (proof === null)\n',
    test: {
      file: 'test/ship/quarantine.test.ts',
      name: 'quarantine: whatever the store does, the local bytes stay until the store gives them back',
    },
  },
  {
    name: 'the name of a stored object is not synced',
    why: 'a power loss takes an object that was committed',
    file: 'capture/ship/local.ts',
    find: 'await syncPath(directory)\n    step',
    replace: 'step',
    test: {
      file: 'test/ship/local.test.ts',
      name: 'local: bytes are synced before the name, the name before put returns, new directories too',
    },
  },
  {
    name: 'verify does not hash objects',
    why: 'a stranger is told that altered data is right',
    file: 'capture/verify/fetch.ts',
    find: 'if (hash !== object.sha256) {',
    replace: "if (hash === '') {",
    test: { file: 'test/verify/objects.test.ts', name: 'object_altered: one bit' },
  },
  {
    name: 'verify does not follow the chain',
    why: 'a stranger is told that a hole is none',
    file: 'capture/verify/chain.ts',
    find: 'if (lastId === undefined || previousId === lastId) return undefined',
    replace: 'if (lastId !== null) return undefined',
    test: {
      file: 'test/verify/rows.test.ts',
      name: 'chain_broken: the first row of a window does not follow the window before',
    },
  },
  {
    name: 'a web page is taken for an object',
    why: 'a log-in page of the network is told to be a manifest of somebody else, and is written over',
    file: 'capture/ship/s3/bucket.ts',
    find: "if (PAGE_PATTERN.test(ContentType ?? '')) {",
    replace: "if (ContentType === '') {",
    test: {
      file: 'test/ship/s3-bucket.test.ts',
      name: 'get: a page of whoever is in the way, an error in a 200, and what names no object are not taken for the object',
    },
  },
  {
    name: 'a corrected Secret waits for the next try',
    why: 'whoever mends a key sees nothing for minutes, and mends it again',
    file: 'capture/ship/shipper.ts',
    find: 'if (this.#isRefused) this.#wakeUp()',
    replace: 'if (this.#isRefused) this.notify()',
    test: {
      file: 'test/ship/credential-watch.test.ts',
      name: 'credentials: a corrected Secret is tried within five seconds, in the middle of a wait of minutes',
    },
  },
]
