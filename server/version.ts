// The version of this package, for people and metrics.

import packageJson from '../package.json' with { type: 'json' }

export const { version } = packageJson
