// Starts the console's page: language and theme, the connection to the relay that served it, and its pages.

import '../shared/theme.css'
import { render } from 'preact'
import { startLanguage } from '../shared/language.ts'
import { startTheme } from '../shared/theme.ts'
import { App } from './app.tsx'
import { createOperator } from './operator.ts'
import { startRoute } from './route.ts'

startTheme()
startLanguage()
startRoute()
const place = document.getElementById('app')
if (place !== null) render(<App operator={createOperator(new URL(location.href))} />, place)
