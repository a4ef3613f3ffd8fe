//! Lines of the loggers that we know. Those of pino, winston, bunyan, python-json-logger,
//! JSON-log-formatter, structlog and loguru were written by these; the others follow their
//! documentation.

use super::check;

#[test]
fn tracing() {
    check(&[
        (
            r#"{"timestamp":"2026-11-22T13:50:58.123456Z","level":"WARN","fields":{"message":"slow","elapsed_ms":120,"pid":5,"level":"high"},"target":"app::db","filename":"src/db.rs","line_number":7,"span":{"id":3,"name":"query"},"spans":[{"method":"GET","name":"request"},{"id":3,"name":"query"}],"threadName":"main","threadId":"ThreadId(1)"}"#,
            r#"WARN target=app::db time=1795355458123456000~999 file=src/db.rs line=7 "slow" request{method="GET"} query{id=3} elapsed_ms=120 pid=5 level="high" threadName="main" threadId="ThreadId(1)""#,
        ),
        (
            r#"{"timestamp":"2026-11-22T13:50:58.123456Z","level":"TRACE","fields":{},"target":"app","span":{"name":"query"}}"#,
            r#"TRACE target=app time=1795355458123456000~999 "" query{}"#,
        ),
        // With `flatten_event`.
        (
            r#"{"timestamp":"2026-11-22T13:50:58.123456Z","level":"DEBUG","message":"hi","n":1,"target":"app"}"#,
            r#"DEBUG target=app time=1795355458123456000~999 "hi" n=1"#,
        ),
    ]);
}

#[test]
fn pino() {
    check(&[
        (
            r#"{"level":30,"time":1795355458110,"pid":7276,"hostname":"vm","port":8080,"msg":"server started"}"#,
            r#"INFO time=1795355458110000000~999999 pid=7276 host=vm "server started" port=8080"#,
        ),
        (
            r#"{"level":60,"time":"2026-11-22T13:50:58.134Z","pid":7276,"hostname":"vm","name":"app","req":{"method":"GET","url":"/x","headers":{"a":1}},"tags":["a","b"],"msg":"bye"}"#,
            r#"ERROR target=app time=1795355458134000000~999999 pid=7276 host=vm "bye" level=60 req.method="GET" req.url="/x" req.headers.a=1 tags=<["a","b"]>"#,
        ),
        (
            r#"{"level":50,"time":1795355458118,"pid":7276,"hostname":"vm","name":"db","err":{"type":"Error","message":"boom","stack":"Error: boom\n    at Object.<anonymous> (/tmp/p.js:1:107)"},"msg":"query failed"}"#,
            r#"ERROR target=db time=1795355458118000000~999999 pid=7276 host=vm "query failed" err.type="Error" err.message="boom" err.stack="Error: boom\n    at Object.<anonymous> (/tmp/p.js:1:107)""#,
        ),
    ]);
}

#[test]
fn bunyan_and_ougai() {
    check(&[
        (
            r#"{"name":"svc","hostname":"vm","pid":7276,"level":30,"lang":"fr","msg":"au revoir","time":"2026-11-22T13:50:58.707Z","v":0}"#,
            r#"INFO target=svc time=1795355458707000000~999999 pid=7276 host=vm "au revoir" lang="fr" v=0"#,
        ),
        (
            r#"{"name":"svc","hostname":"vm","pid":7276,"level":40,"msg":"oops","time":"2026-11-22T13:50:58.708Z","src":{"file":"/tmp/p.js","line":5,"func":"main"},"v":0}"#,
            r#"WARN target=svc time=1795355458708000000~999999 file=/tmp/p.js line=5 module=main pid=7276 host=vm "oops" v=0"#,
        ),
        (
            r#"{"name":"main","hostname":"vm","pid":14,"level":20,"time":"2026-11-22T22:50:58.110+09:00","v":0,"msg":"debugging"}"#,
            r#"DEBUG target=main time=1795355458110000000~999999 pid=14 host=vm "debugging" v=0"#,
        ),
    ]);
}

#[test]
fn winston() {
    check(&[
        (
            r#"{"free":0.05,"level":"warn","message":"disk almost full","timestamp":"2026-11-22T13:50:58.535Z"}"#,
            r#"WARN time=1795355458535000000~999999 "disk almost full" free=0.05"#,
        ),
        (
            r#"{"level":"silly","message":"x","timestamp":"2026-11-22T13:50:58.536Z"}"#,
            r#"TRACE time=1795355458536000000~999999 "x" level="silly""#,
        ),
        (
            r#"{"level":"http","message":"GET /","timestamp":"2026-11-22T13:50:58.536Z"}"#,
            r#"INFO time=1795355458536000000~999999 "GET /" level="http""#,
        ),
    ]);
}

#[test]
fn python() {
    check(&[
        // python-json-logger; its asctime is local.
        (
            r#"{"asctime": "2026-11-22 13:50:58,971", "levelname": "WARNING", "name": "app.db", "message": "slow query", "pathname": "/tmp/p.py", "lineno": 6, "process": 7358, "threadName": "MainThread", "levelno": 30, "ms": 12.5, "rows": null}"#,
            r#"WARN target=app.db file=/tmp/p.py line=6 pid=7358 "slow query" asctime="2026-11-22 13:50:58,971" threadName="MainThread" levelno=30 ms=12.5 rows=<null>"#,
        ),
        (
            r#"{"levelname": "CRITICAL", "message": "down", "name": "app.db", "timestamp": "2026-11-22T13:50:58.972544+00:00"}"#,
            r#"ERROR target=app.db time=1795355458972544000~999 "down" level="CRITICAL""#,
        ),
        (r#"{"levelno": 20, "name": "app", "msg": "hi"}"#, r#"INFO target=app "hi""#),
        // JSON-log-formatter, plain and verbose.
        (
            r#"{"referral_code": "52d6ce", "message": "Sign up", "time": "2026-11-22T13:50:58.984963+00:00"}"#,
            r#"INFO time=1795355458984963000~999 "Sign up" referral_code="52d6ce""#,
        ),
        (
            r#"{"filename": "p.py", "funcName": "<module>", "levelname": "ERROR", "lineno": 12, "module": "p", "name": "app.db", "pathname": "/tmp/p.py", "process": 7358, "processName": "MainProcess", "stack_info": null, "thread": 140523616906112, "threadName": "MainThread", "message": "An error has occured", "time": "2026-11-22T13:50:58.985109+00:00"}"#,
            r#"ERROR target=app.db time=1795355458985109000~999 file=/tmp/p.py line=12 module=<module> pid=7358 "An error has occured" filename="p.py" module="p" processName="MainProcess" stack_info=<null> thread=140523616906112 threadName="MainThread""#,
        ),
        // structlog.
        (
            r#"{"user": "ann", "n": 3, "event": "user_login", "level": "info", "timestamp": "2026-11-22T13:50:59.530554Z"}"#,
            r#"INFO time=1795355459530554000~999 "user_login" user="ann" n=3"#,
        ),
        // python-logstash.
        (
            r#"{"@timestamp": "2026-11-22T13:50:58.971Z", "@version": "1", "message": "shipped", "host": "vm", "path": "/tmp/p.py", "tags": [], "type": "Logstash", "k": 1, "level": "INFO", "logger_name": "app.db", "stack_info": null}"#,
            r#"INFO target=app.db time=1795355458971000000~999999 host=vm "shipped" @version="1" path="/tmp/p.py" tags=<[]> type="Logstash" k=1 stack_info=<null>"#,
        ),
    ]);
}

#[test]
fn loguru() {
    check(&[(
        r#"{"text": "done 5\n", "record": {"elapsed": {"repr": "0:00:00.063047", "seconds": 0.063047}, "exception": null, "extra": {"u": 1}, "file": {"name": "p.py", "path": "/tmp/p.py"}, "function": "<module>", "level": {"icon": "✅", "name": "SUCCESS", "no": 25}, "line": 21, "message": "done 5", "module": "p", "name": "__main__", "process": {"id": 7358, "name": "MainProcess"}, "thread": {"id": 140523616906112, "name": "MainThread"}, "time": {"repr": "2026-11-22 13:50:59.681458+00:00", "timestamp": 1795355459.681458}}}"#,
        r#"INFO target=__main__ time=1795355459681458000~999 file=/tmp/p.py line=21 module=<module> pid=7358 "done 5" text="done 5\n" record.elapsed.repr="0:00:00.063047" record.elapsed.seconds=0.063047 record.exception=<null> record.extra.u=1 record.file.name="p.py" record.level.icon="✅" record.level.name="SUCCESS" level=25 record.module="p" record.process.name="MainProcess" record.thread.id=140523616906112 record.thread.name="MainThread" record.time.timestamp=1795355459.681458"#,
    )]);
}

#[test]
fn go() {
    check(&[
        // zap.
        (
            r#"{"level":"dpanic","ts":1795355458.1234567,"logger":"api","caller":"api/server.go:12","msg":"bad","stacktrace":"main.main\n\t/x.go:1"}"#,
            r#"ERROR target=api time=1795355458123456700~99 file=api/server.go line=12 "bad" level="dpanic" stacktrace="main.main\n\t/x.go:1""#,
        ),
        // logrus, with and without its caller.
        (
            r#"{"animal":"walrus","level":"warning","msg":"gone","size":10,"time":"2026-11-22T14:50:58+01:00"}"#,
            r#"WARN time=1795355458000000000~999999999 "gone" animal="walrus" size=10"#,
        ),
        (
            r#"{"file":"/x/main.go:20","func":"main.main","level":"panic","msg":"gone","time":"2026-11-22T14:50:58+01:00"}"#,
            r#"ERROR time=1795355458000000000~999999999 file=/x/main.go line=20 module=main.main "gone" level="panic""#,
        ),
        // zerolog.
        (
            r#"{"level":"debug","time":1795355458,"caller":"/x/main.go:20","message":"hi","ok":true}"#,
            r#"DEBUG time=1795355458000000000~999999999 file=/x/main.go line=20 "hi" ok=true"#,
        ),
        // hclog.
        (
            r#"{"@caller":"x/plugin.go:9","@level":"info","@message":"starting","@module":"vault.core","@timestamp":"2026-11-22T13:50:58.123456Z","id":-4}"#,
            r#"INFO target=vault.core time=1795355458123456000~999 file=x/plugin.go line=9 "starting" id=-4"#,
        ),
        // slog, with AddSource.
        (
            r#"{"time":"2026-11-22T13:50:58.123456789Z","level":"INFO+2","source":{"function":"main.main","file":"/x/main.go","line":14},"msg":"hello","count":3}"#,
            r#"INFO time=1795355458123456789~0 file=/x/main.go line=14 module=main.main "hello" level="INFO+2" count=3"#,
        ),
    ]);
}

#[test]
fn java_and_dotnet() {
    check(&[
        // Logback with logstash's encoder.
        (
            r#"{"@timestamp":"2026-11-22T14:50:58.971+01:00","@version":"1","message":"hi","logger_name":"com.acme.App","thread_name":"main","level":"ERROR","level_value":40000,"stack_trace":"x"}"#,
            r#"ERROR target=com.acme.App time=1795355458971000000~999999 "hi" @version="1" thread_name="main" level_value=40000 stack_trace="x""#,
        ),
        (r#"{"level_value":10000,"message":"hi"}"#, r#"DEBUG "hi""#),
        // Elastic's common schema, dotted and nested.
        (
            r#"{"@timestamp":"2026-11-22T13:50:58.971Z","log.level": "WARN","message":"hi","ecs.version": "1.2.0","process.thread.name":"main","log.logger":"com.acme.App","error.stack_trace":"x"}"#,
            r#"WARN target=com.acme.App time=1795355458971000000~999999 "hi" ecs.version="1.2.0" process.thread.name="main" error.stack_trace="x""#,
        ),
        (
            r#"{"@timestamp":"2026-11-22T13:50:58.971Z","log":{"level":"FATAL","logger":"App","origin":{"file":{"name":"App.java","line":42},"function":"run"}},"message":"hi","process":{"pid":31,"thread":{"name":"main"}},"host":{"name":"vm"}}"#,
            r#"ERROR target=App time=1795355458971000000~999999 file=App.java line=42 module=run pid=31 host=vm "hi" level="FATAL" process.thread.name="main""#,
        ),
        // Serilog, compact and plain.
        (
            r#"{"@t":"2026-11-22T13:50:58.1234567Z","@mt":"Hello, {User}","@m":"Hello, ann","@l":"Warning","@x":"System.Exception","User":"ann"}"#,
            r#"WARN time=1795355458123456700~99 "Hello, ann" @mt="Hello, {User}" @x="System.Exception" User="ann""#,
        ),
        (
            r#"{"@t":"2026-11-22T13:50:58.1234567Z","@mt":"Hello, {User}","User":"ann"}"#,
            r#"INFO time=1795355458123456700~99 "Hello, {User}" User="ann""#,
        ),
        (
            r#"{"Timestamp":"2026-11-22T14:50:58.1234567+01:00","Level":"Information","MessageTemplate":"Hi","Properties":{"SourceContext":"A.B"}}"#,
            r#"INFO time=1795355458123456700~99 "Hi" level="Information" Properties.SourceContext="A.B""#,
        ),
    ]);
}

#[test]
fn gelf_ruby_php_and_the_clouds() {
    check(&[
        (
            r#"{"version":"1.1","host":"vm","short_message":"hi","full_message":"hi\nthere","timestamp":1795355458.3072,"level":3,"_user":9001,"_name":"ann"}"#,
            r#"ERROR time=1795355458307200000~99999 host=vm "hi" version="1.1" full_message="hi\nthere" _user=9001 _name="ann""#,
        ),
        (r#"{"level":1,"short_message":"hi"}"#, r#"ERROR "hi" level=1"#),
        // semantic_logger.
        (
            r#"{"host":"vm","application":"shop","timestamp":"2026-11-22T13:50:58.123456Z","level":"info","level_index":2,"pid":14,"thread":"main","name":"OrdersController","message":"Completed","payload":{"status":200}}"#,
            r#"INFO target=OrdersController time=1795355458123456000~999 pid=14 host=vm "Completed" application="shop" level_index=2 thread="main" payload.status=200"#,
        ),
        // Monolog.
        (
            r#"{"message":"hi","context":{"id":7},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-22T13:50:58.123456+00:00","extra":[]}"#,
            r#"ERROR target=app time=1795355458123456000~999 "hi" context.id=7 level=400 extra=<[]>"#,
        ),
        // OpenTelemetry.
        (
            r#"{"Timestamp":"1795355458123456789","SeverityText":"WARN","SeverityNumber":13,"Body":"hi","Attributes":{"http.status":200}}"#,
            r#"WARN time=1795355458123456789~0 "hi" SeverityNumber=13 Attributes.http.status=200"#,
        ),
        // Google.
        (
            r#"{"severity":"NOTICE","message":"hi","time":"2026-11-22T13:50:58.123456Z","logging.googleapis.com/sourceLocation":{"file":"a.py","line":"142","function":"get"}}"#,
            r#"INFO time=1795355458123456000~999 file=a.py line=142 module=get "hi" level="NOTICE""#,
        ),
        // Docker.
        (
            r#"{"log":"plain\n","stream":"stdout","time":"2026-11-22T13:50:58.123456789Z"}"#,
            r#"INFO time=1795355458123456789~0 "plain\n" stream="stdout""#,
        ),
    ]);
}
