# Missing data: Rubin's rules exactly, the regressions behind the imputations exactly, imputations themselves on average.
suppressPackageStartupMessages({ library(mice); library(survival); library(jsonlite) })
out <- commandArgs(TRUE)[1]
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$event <- as.numeric(d$status == 1)
n <- nrow(d)
result <- list()

# --- Rubin's rules, one parameter -------------------------------------------------------------------------------------
Q <- c(0.512, 0.447, 0.603, 0.551, 0.489)
U <- c(0.0121, 0.0133, 0.0118, 0.0127, 0.0125)
scalar <- function(Q, U, n, k, call) {
  s <- pool.scalar(Q, U, n = n, k = k)
  list(call = call, Q = Q, U = U, complete_df = if (is.infinite(n)) "Inf" else n - k, qbar = s$qbar, ubar = s$ubar, b = s$b,
       t = s$t, df = s$df, r = s$r, fmi = s$fmi)
}
result$pool_scalar <- list(
  scalar(Q, U, Inf, 1, "pool.scalar(Q, U)"),
  scalar(Q, U, 100, 4, "pool.scalar(Q, U, n = 100, k = 4)"),
  scalar(Q * 3, U / 10, 40, 3, "pool.scalar(3 * Q, U / 10, n = 40, k = 3)"),
  scalar(Q[1:2], U[1:2], 1200, 5, "pool.scalar(Q[1:2], U[1:2], n = 1200, k = 5)"))

# --- A cohort with gaps: chol depends on age and y, smoker on sbp, grade on nothing -----------------------------------
set.seed(31)
gap_chol <- which(runif(n) < plogis(-1.2 + 0.06 * (d$age - 58) + 1.0 * d$y))
gap_smoker <- which(runif(n) < plogis(-1.3 + 0.02 * (d$sbp - 120)))
gap_grade <- which(runif(n) < 0.15)
result$gaps <- list(rule = "0-based rows that are set to missing", chol = gap_chol - 1, smoker = gap_smoker - 1, grade = gap_grade - 1)
a <- d[, c("hospital", "age", "male", "sbp", "chol", "smoker", "grade", "y")]
a$chol[gap_chol] <- NA; a$smoker[gap_smoker] <- NA; a$grade[gap_grade] <- NA
a$hospital <- factor(a$hospital); a$smoker <- factor(a$smoker); a$grade <- factor(a$grade)

# --- Distributional: means over 120 imputations ------------------------------------------------------------------------
M <- 120
imp <- mice(a, m = M, maxit = 5, method = c("", "", "", "", "pmm", "logreg", "polyreg", ""), seed = 8, printFlag = FALSE)
long <- complete(imp, "long")
per <- function(f) sapply(seq_len(M), function(i) f(long[long$.imp == i, ]))
ch <- per(function(z) mean(z$chol[gap_chol])); cs <- per(function(z) sd(z$chol[gap_chol]))
sm <- per(function(z) mean(z$smoker[gap_smoker] == "1"))
g1 <- per(function(z) mean(z$grade[gap_grade] == "1")); g2 <- per(function(z) mean(z$grade[gap_grade] == "2"))
fits <- lapply(seq_len(M), function(i) glm(y ~ age + male + sbp + chol + smoker + grade + hospital, binomial, complete(imp, i)))
pooled <- summary(pool(as.mira(fits)), conf.int = TRUE)
summarise <- function(v) list(mean = mean(v), sd = sd(v))
result$imputation <- list(
  call = "mice(a, m=120, maxit=5, method=c('','','','','pmm','logreg','polyreg',''), seed=8)", m = M,
  imputed_chol_mean = summarise(ch), imputed_chol_sd = summarise(cs), imputed_smoker = summarise(sm),
  imputed_grade1 = summarise(g1), imputed_grade2 = summarise(g2),
  pool_call = "summary(pool(glm(y ~ age + male + sbp + chol + smoker + grade + hospital, binomial)), conf.int=TRUE)",
  term = as.character(pooled$term), estimate = pooled$estimate, se = pooled$std.error)

# --- mice::pool and D1 on five fits, given with their covariance matrices ---------------------------------------------
five <- fits[1:5]
est <- t(sapply(five, coef))
cov5 <- lapply(five, function(f) unname(vcov(f)))
p5 <- pool(as.mira(five)); s5 <- summary(p5, conf.int = TRUE)
keep <- c("grade2", "grade3", "chol")
# mice::D1 calls mitml::testModels; the formulas of Li, Raghunathan and Rubin 1991 and of Reiter 2007 are written out here.
D1 <- function(est, cov, df.com) {
  m <- nrow(est); k <- ncol(est)
  qbar <- colMeans(est); ubar <- Reduce(`+`, cov) / m; B <- var(est)
  r <- (1 + 1 / m) * sum(diag(B %*% solve(ubar))) / k
  F <- drop(t(qbar) %*% solve((1 + r) * ubar) %*% qbar) / k
  t <- k * (m - 1)
  if (is.infinite(df.com)) {
    v <- if (t > 4) 4 + (t - 4) * (1 + (1 - 2 / t) / r)^2 else t * (1 + 1 / k) * (1 + 1 / r)^2 / 2
  } else {
    a <- r * t / (t - 2)
    vs <- (df.com + 1) / (df.com + 3) * df.com
    b1 <- vs - 2 * (1 + a); b2 <- vs - 4 * (1 + a)
    z <- 1 / b2 + 1 / (t - 4) * (a^2 * b1 / ((1 + a)^2 * b2) + 8 * a^2 * b1 / ((1 + a) * b2^2) + 4 * a^2 / ((1 + a) * b2) +
         4 * a^2 / (b2 * b1) + 16 * a^2 * b1 / b2^3 + 8 * a^2 / b2^2)
    v <- 4 + 1 / z
  }
  list(f = F, df1 = k, df2 = v, p = pf(F, k, v, lower.tail = FALSE), r = r)
}
result$pool <- list(
  call = "pool(as.mira(five)); summary(conf.int=TRUE)", term = as.character(s5$term), estimates = unname(est), covariances = cov5,
  complete_df = p5$glanced$df.residual[1], qbar = p5$pooled$estimate, ubar = p5$pooled$ubar, b = p5$pooled$b, t = p5$pooled$t,
  df = p5$pooled$df, riv = p5$pooled$riv, lambda = p5$pooled$lambda, fmi = p5$pooled$fmi, statistic = s5$statistic,
  p = s5$p.value, ci_low = s5[["2.5 %"]], ci_high = s5[["97.5 %"]])
sub <- function(names) list(est = est[, names, drop = FALSE], cov = lapply(five, function(f) vcov(f)[names, names, drop = FALSE]))
one <- function(names, df.com, m = 5) {
  s <- sub(names)
  c(list(terms = names, m = m, complete_df = if (is.infinite(df.com)) "Inf" else df.com), D1(s$est[1:m, , drop = FALSE], s$cov[1:m], df.com))
}
result$d1 <- list(
  call = "D1 of Li, Raghunathan, Rubin 1991 (complete_df Inf) and Reiter 2007, written out in referee/missing.R",
  cases = list(one(keep, Inf), one(keep, 1189), one(keep, 60), one(c("smoker1", "chol"), Inf, 2)))

# --- The regressions behind one imputation ----------------------------------------------------------------------------
z <- scale(as.matrix(d[, c("age", "sbp", "noise", "male")]), scale = FALSE)
x <- cbind(1, z)
e <- mice:::estimice(x, d$chol, ls.meth = "ridge", ridge = 1e-5)
result$linear <- list(call = "mice:::estimice(cbind(1, scale(age, sbp, noise, male)), chol, ls.meth='ridge')",
                      slopes = as.numeric(e$c)[-1], v = unname(as.matrix(e$v))[-1, -1])

ry <- !(seq_len(n) %in% gap_smoker)
aug <- mice:::augment(d$smoker, ry, as.data.frame(z), !ry)
f <- glm.fit(cbind(1, as.matrix(aug$x))[aug$ry, ], aug$y[aug$ry], family = quasibinomial(), weights = aug$w[aug$ry],
             control = list(epsilon = 1e-14, maxit = 100))
result$logistic <- list(call = "glm.fit(cbind(1, aug$x)[aug$ry,], aug$y[aug$ry], family=quasibinomial(), weights=aug$w[aug$ry]), aug = mice:::augment(...)",
                        coef = unname(coef(f)), cov_unscaled = unname(summary.glm(f)$cov.unscaled))

fg <- nnet::multinom(factor(grade) ~ z, data = d, trace = FALSE, reltol = 1e-16, abstol = 1e-16, maxit = 2000, Hess = TRUE)
result$multinomial <- list(call = "nnet::multinom(factor(grade) ~ z, reltol=1e-16, maxit=2000)", coef = unname(coef(fg)), cov = unname(vcov(fg)))

# --- Nelson-Aalen -----------------------------------------------------------------------------------------------------
at <- function(fit, time) stepfun(fit$time, c(0, fit$cumhaz))(time)
rows <- 1:60
plain <- survfit(Surv(time, event) ~ 1, d, ctype = 1)
delayed <- survfit(Surv(entry, time, event) ~ 1, d, ctype = 1)
result$nelson_aalen <- list(call = "survfit(Surv(time, event) ~ 1, ctype=1)$cumhaz at the first 60 rows' times", value = at(plain, d$time[rows]),
  delayed_call = "survfit(Surv(entry, time, event) ~ 1, ctype=1)$cumhaz", delayed = at(delayed, d$time[rows]),
  mice_call = "mice::nelsonaalen(d, time, event)", mice = nelsonaalen(d, time, event)[rows])
write_json(result, out, digits = NA, auto_unbox = TRUE, pretty = TRUE, matrix = "rowmajor")
