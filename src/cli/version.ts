/** The version of the package; scripts/build.mjs puts it in. */
export const VERSION: string = process.env.NETSIM_VERSION ?? 'unbuilt'
