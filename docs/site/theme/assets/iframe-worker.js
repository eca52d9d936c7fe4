/* The search runs in a worker, which no browser starts from a file: there it runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      window.addEventListener("message", event => {
        if (event.source !== this.frame.contentWindow) return
        if (event.data === "ready") {
          this.ready = true
          this.waiting.splice(0).forEach(message => this.postMessage(message))
          return
        }
        const heard = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(heard)
        if (this.onmessage) this.onmessage(heard)
      })
      const script = `
        var base = ${JSON.stringify(new URL(url, document.baseURI).href)}
        var postMessage = message => parent.postMessage(message, "*")
        var importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise(done => {
          var script = document.createElement("script")
          script.src = new URL(url, base).href
          script.onload = done
          document.body.appendChild(script)
        })), Promise.resolve())
        importScripts(base).then(() => postMessage("ready"))`
      this.frame.srcdoc = `<body><script>${script}</scr` + "ipt></body>"
      document.body.appendChild(this.frame)
    }
    postMessage(message) {
      // The frame's own one is what the worker answers with.
      if (this.ready) window.postMessage.call(this.frame.contentWindow, message, "*")
      else this.waiting.push(message)
    }
    terminate() { this.frame.remove() }
  }
}
