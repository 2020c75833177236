/**
 * The one part of client-node that the operator uses. A file of its own, since a bundle keeps of a package what is
 * named in an `export`, but all of it where the package itself is loaded late: 2 MB instead of 16.
 */
export { KubeConfig } from '@kubernetes/client-node'
