// What the bundler makes of files that are no modules: a stylesheet is put into the page, `?raw` gives a file's text.

declare module '*.css' {}

declare module '*?raw' {
  const text: string
  export default text
}
