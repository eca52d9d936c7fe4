/* The search runs in a worker, which no browser starts from a file: there it runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      window.addEventListener("message", event => {
        if (event.source !== this.frame.contentWindow) return
        if (event.data === "worker is ready") {
          this.ready = true
          for (const message of this.waiting.splice(0)) this.postMessage(message)
          return
        }
        const heard = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(heard)
        if (this.onmessage) this.onmessage(heard)
      })
      const scripts = `
        var base = ${JSON.stringify(new URL(url, document.baseURI).href)}
        var postMessage = message => parent.postMessage(message, "*")
        var importScripts = (...urls) => urls.reduce((before, each) => before.then(() => new Promise(done => {
          var script = document.createElement("script")
          script.src = new URL(each, base).href
          script.onload = done
          document.body.appendChild(script)
        })), Promise.resolve())
        importScripts(base).then(() => parent.postMessage("worker is ready", "*"))`
      this.frame.srcdoc = `<body><script>${scripts}<` + `/script></body>`
      document.addEventListener("DOMContentLoaded", () => document.body.appendChild(this.frame))
      if (document.body) document.body.appendChild(this.frame)
    }
    postMessage(message) {
      if (this.ready) this.frame.contentWindow.postMessage(message, "*")
      else this.waiting.push(message)
    }
    terminate() { this.frame.remove() }
  }
}
