/**
 * The parts of client-node that `l2cap status` uses. A file of its own, since a bundle keeps of a package what is
 * named in an `export`, but all of it where the package itself is loaded late.
 */
export { CoreV1Api, CustomObjectsApi, KubeConfig } from '@kubernetes/client-node'
